"""`firewall fleet` as a person runs it, without a server."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firewall.audit import AuditLog, read
from firewall.cli.fleetstatus import members, table
from firewall.cli.main import app
from firewall.fleet.overview import Node, Offer
from firewall.fleet.report import Held, InForce, Report
from firewall.policy import sources
from tests.unit.cli.test_ship import signals

__all__ = ["signals"]

NOWHERE = "nats://127.0.0.1:1"
HASH = "a" * 64
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("FIREWALL_POLICY_KEY", raising=False)
    (tmp_path / "team.yaml").write_text("version: 1\nname: team\nextends: [base]\n")
    assert firewall("policy", "keygen", str(tmp_path / "key")).exit_code == 0
    (tmp_path / "state" / "audit").mkdir(parents=True)
    yield tmp_path
    sources.forget()


def firewall(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def bundle(here: Path, *more: str) -> str:
    path, policy = str(here / "team.bundle"), str(here / "team.yaml")
    done = firewall("policy", "bundle", policy, "--key", str(here / "key"), "-o", path, *more)
    assert done.exit_code == 0
    return path


def publish(here: Path, path: str, *more: str) -> Result:
    key = ["--key", str(here / "key.pub")]
    return firewall("fleet", "publish", path, "--to", NOWHERE, "--group", "training", *key, *more)


def test_what_is_not_published(here: Path) -> None:
    signed = bundle(here, "--audience", "lab")
    done = publish(here, signed)
    assert (done.exit_code, "it is for lab, not for training" in done.stderr) == (1, True)
    done = publish(here, str(here / "team.yaml"))
    assert (done.exit_code, "this is no signed bundle" in done.stderr) == (1, True)
    done = publish(here, bundle(here), "--group", "a.b")
    assert (done.exit_code, "group 'a.b': write 1 to 64" in done.stderr) == (2, True)
    done = publish(here, signed, "--key", "")
    assert (done.exit_code, "--key names no key" in done.stderr) == (2, True)
    done = publish(here, bundle(here, "--audience", "training"))
    assert (done.exit_code, "not published: nats://127.0.0.1:1" in done.stderr) == (3, True)


def follow(here: Path, *more: str) -> Result:
    into = ["--into", str(here / "policy.bundle"), "--key", str(here / "key.pub")]
    return firewall(
        "fleet", "follow", "--to", NOWHERE, "--group", "training", *into, "--once", *more
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--into", "/nowhere/policy.bundle"], "there is no folder /nowhere"),
        (["--key", "/nowhere.pub"], "No such file"),
        (["--source", "a.b"], "write 1 to 64 letters"),
        (["--metrics", "x"], "is no HOST:PORT"),
        (["--to", "http://x"], "write nats:// or"),
        (["--to", "nats+tls://"], "write nats:// or"),
    ],
)
def test_what_cannot_be_followed(here: Path, more: list[str], why: str) -> None:
    done = follow(here, *more)
    assert (done.exit_code, why in done.stderr) == (2, True)


def test_one_agent_at_a_time(here: Path) -> None:
    with closing(AuditLog(here / "state" / "audit", "fleet-training")):
        done = follow(here)
    assert (done.exit_code, "another process" in done.stderr) == (2, True)


def test_a_server_that_is_away(here: Path) -> None:
    assert follow(here).exit_code == 3
    assert [each["kind"] for each in read(here / "state/audit")] == ["log.opened", "log.closed"]
    done = firewall("fleet", "status", "--to", NOWHERE)
    assert (done.exit_code, "nats://127.0.0.1:1" in done.stderr) == (3, True)


NODE = Node(
    "training",
    "gpu-17",
    NOW - timedelta(seconds=4),
    Report(
        source="gpu-17",
        group="training",
        time=NOW,
        firewall="1.0",
        bundle=Held(name="coding", version=6, sha256=HASH),
        refused=None,
        gates=[InForce(version=5, digest=HASH, count=1), InForce(version=6, digest=HASH, count=2)],
        heads={"gate-0": 9},
    ),
    late_since=NOW - timedelta(hours=3),
    missing=4,
    alarms={"gap": 2},
    troubles=["it refuses \x1b[2J"],
)
OFFERS = [
    Offer("training", "coding", 7, HASH, NOW - timedelta(hours=3), verified=True),
    Offer("a\x1b", trouble="odd"),
    Offer("lab", "coding", 1, HASH, NOW),
]


UNCHECKED = (
    "published 2026-11-26 12:00:00 UTC, sha256 aaaaaaaaaaaa; without --key its signature is not"
    " checked"
)


def test_the_table() -> None:
    unread = Node("training", "b", NOW, troubles=["its report cannot be read: x"])
    lines = table(OFFERS, [NODE, unread], NOW)
    assert lines == [
        "training: coding, version 7, published 2026-11-26 09:00:00 UTC, sha256 aaaaaaaaaaaa",
        "a\\x1b: -",
        f"lab: coding, version 1, {UNCHECKED}",
        "",
        "group     node    version  in force  digest        late  missing  alarms  heard",
        "training  gpu-17  6        2/3       aaaaaaaaaaaa  3 h   4        2       4 s",
        "training  b       ?        ?         ?             ?     ?        ?       0 s",
        "",
        "a\\x1b: odd",
        "training/gpu-17: it refuses \\x1b[2J",
        "training/b: its report cannot be read: x",
    ]


def test_for_programs() -> None:
    found = json.loads(members(OFFERS, [NODE]))
    assert found["groups"][0]["version"] == 7
    (node,) = found["nodes"]
    assert (node["source"], node["heard"], node["missing"]) == ("gpu-17", "2026-11-26T11:59:56Z", 4)
    assert node["report"]["heads"] == {"gate-0": 9}
    assert node["troubles"] == ["it refuses \x1b[2J"]
