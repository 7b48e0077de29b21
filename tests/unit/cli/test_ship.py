"""`firewall audit ship` and `ingest` as a person runs them, without a network."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.audit import app
from firewall.cli.ship import _name
from tests.unit.audit.signing import signed_log


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The commands take these for their process, which here is pytest's."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    signed_log(tmp_path, rounds=2)
    return tmp_path / "audit"


def ship(log: Path, *arguments: str, to: str = "-") -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["ship", "--to", to, "--log", str(log), "--once", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_records_as_they_are(log: Path) -> None:
    status, out, err = ship(log)
    assert (status, "9 records: all is shipped" in err) == (0, True)
    assert [json.loads(line).get("seq") for line in out.splitlines()] == [1, 2, 3] * 2 + [None] * 3
    assert ship(log)[1] == ""


def test_events(log: Path) -> None:
    status, out, _ = ship(log, "--format", "ocsf")
    assert status == 0
    assert json.loads(out.splitlines()[0])["metadata"]["uid"] == "a:1"


def test_a_damaged_chain(log: Path) -> None:
    path = log / "a/00000000000000000001.log"
    path.write_bytes(path.read_bytes().replace(b'"n":0', b'"n":7'))
    assert ship(log)[0] == 1


@pytest.mark.parametrize("to", ["ftp://x", "http://", "nats://h"])
def test_what_cannot_be_used(log: Path, to: str) -> None:
    status, _, err = ship(log, "--source", "a.b", to=to)
    assert status == 2
    assert "write" in err


def test_no_log(tmp_path: Path) -> None:
    status, _, err = ship(tmp_path / "none")
    assert (status, "there is no audit log here" in err) == (2, True)
    assert not (tmp_path / "none").exists()


def test_a_far_end_that_is_away(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.audit.ship.shipper.BACKOFF_LIMIT", 0.001)
    status, _, err = ship(log, to="http://127.0.0.1:1")
    assert (status, "the far end did not take all of it" in err) == (3, True)


def test_an_exporters_name_holds_no_secret() -> None:
    assert _name("nats://user:pass@h:4222", "native") == "native-nats-h-4222"
    assert _name("-", "ocsf") == "ocsf"


def test_keys_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "h.pub").write_text("nonsense")
    for keys, said in ((tmp_path, "h.pub"), (tmp_path / "none", "no file SOURCE.pub")):
        command = ["ingest", "--from", "nats://h", "--into", str(tmp_path / "in")]
        done = CliRunner().invoke(app, [*command, "--keys", str(keys), "--once"])
        assert (done.exit_code, said in done.stderr) == (2, True)
