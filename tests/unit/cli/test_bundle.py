import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firewall.cli.main import app
from firewall.notes import Key
from firewall.policy.bundle import read_bundle

POLICY = "version: 1\nname: team\nextends: [base]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team.yaml").write_text(POLICY)
    assert policy("keygen", "key").exit_code == 0
    return tmp_path


def policy(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments])


def test_a_key_is_kept_from_others_and_never_overwritten(here: Path) -> None:
    assert stat.S_IMODE((here / "key").stat().st_mode) == 0o600
    assert Key.parse((here / "key.pub").read_text().strip()).name.endswith("/key")
    again = policy("keygen", "key")
    assert (again.exit_code, "not there yet" in again.stderr) == (1, True)


def test_versions_count_up(here: Path) -> None:
    results = [policy("bundle", "team.yaml", "--key", "key") for _ in range(2)]
    results.append(policy("bundle", "team.yaml", "--key", "key", "--version", "9"))
    assert [each.stdout for each in results] == [
        f"team.bundle: version {number}\n" for number in (1, 2, 9)
    ]


def test_verify_tells_what_is_in_it(here: Path) -> None:
    policy("bundle", "team.yaml", "--key", "key", "--expires", "2999-01-31", "-o", "out")
    result = policy("verify", "out", "--key", "key.pub")
    assert result.exit_code == 0
    assert "ok out: team, version 1" in result.stdout
    assert "audience any\n" in result.stdout
    assert "expires  2999-02-01 00:00 UTC" in result.stdout
    assert (
        "  files    base.yaml, team.yaml, mining-pools.txt, tunnel-brokers.txt\n" in result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--key", "other.pub"], "is signed by"),
        (["--key", "key.pub", "--at-least", "5"], "version 1 is older than 5"),
        (["--key", "none.pub"], "No such file"),
        (["--key", "key.pub", "--audience", "a"], "it is for no group, not for a"),
    ],
)
def test_verify_refuses(here: Path, arguments: list[str], why: str) -> None:
    policy("keygen", "other")
    policy("bundle", "team.yaml", "--key", "key")
    result = policy("verify", "team.bundle", *arguments)
    assert (result.exit_code, why in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--key", "key", "--expires", "soon"], "--expires soon is no day"),
        (["--key", "key.pub"], "this is no private key"),
        (["--key", "none"], "firewall policy keygen none"),
        (["--key", "key", "--audience", "a.b"], "group 'a.b': write 1 to 64 letters"),
    ],
)
def test_bundle_refuses(here: Path, arguments: list[str], why: str) -> None:
    result = policy("bundle", "team.yaml", *arguments)
    assert (result.exit_code, why in result.stderr) == (1, True)
    assert not (here / "team.bundle").exists()


def test_days_are_counted_from_today(here: Path) -> None:
    policy("bundle", "team.yaml", "--key", "key", "--expires", "1d")
    found = read_bundle(here / "team.bundle")
    assert found is not None
    assert found.contents.expires is not None
    left = found.contents.expires - datetime.now(UTC)
    assert timedelta(days=1) <= left <= timedelta(days=2, minutes=1)
