"""`firewall audit` as a person runs it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor
from firewall.audit import AuditLog, describe, keys
from firewall.cli.audit import app
from firewall.requests import Connect
from firewall.verdict import Action, Verdict
from tests.unit.audit.signing import signed_log
from tests.waiting import PATIENCE


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def append(log: AuditLog, host: str, action: Action, rule: str) -> None:
    written = threading.Event()
    event = {
        "kind": "verdict",
        "request": {"type": "Connect", **describe(Connect(host, 443))},
        "verdict": describe(Verdict(action, rule, "a reason")),
        "actor": describe(Actor("s1")),
    }
    log.append(event, lambda error: written.set())
    assert written.wait(PATIENCE)


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state of its own, without a key."""
    directory = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("FIREWALL_STATE", str(directory))
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A closed log: an allow, two denies, an allow."""
    log = AuditLog(tmp_path, "gate")
    append(log, "one.test", Action.ALLOW, "web")
    append(log, "two.test", Action.DENY, "guards.mining")
    append(log, "three.test", Action.DENY, "default")
    append(log, "four.test", Action.ALLOW, "web")
    log.close()
    return tmp_path


def segment(log: Path) -> Path:
    (path,) = (log / "gate").glob("*.log")
    return path


class TestTail:
    def test_the_newest_lines(self, log: Path) -> None:
        code, output = run("tail", "-n", "3", "--log", str(log))
        lines = output.splitlines()
        assert code == 0
        assert len(lines) == 3
        assert "DENY   default  tcp three.test:443  s1  a reason" in lines[0]
        assert "ALLOW  web  tcp four.test:443" in lines[1]
        assert "log.closed" in lines[2]

    def test_none(self, log: Path) -> None:
        assert run("tail", "-n", "0", "--log", str(log)) == (0, "")

    def test_following(self, log: Path) -> None:
        # As at a terminal, whatever the tests themselves were started by.
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            " from firewall.cli.audit import app; app()"
        )
        follower = subprocess.Popen(
            [sys.executable, "-u", "-c", code, "tail", "-f", "-n", "1", "--log", str(log)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert follower.stdout is not None
        assert "log.closed" in follower.stdout.readline()
        again = AuditLog(log, "gate")
        append(again, "five.test", Action.DENY, "default")
        again.close()
        assert "log.opened" in follower.stdout.readline()
        assert "five.test:443" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(PATIENCE) == 130
        follower.stdout.close()

    def test_whoever_reads_no_further_is_no_fault_of_the_log(self, log: Path) -> None:
        # As at a terminal, whatever the tests themselves were started by.
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            " from firewall.cli.audit import app; app()"
        )
        with subprocess.Popen(
            [sys.executable, "-u", "-c", code, "tail", "-f", "--log", str(log)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as follower:  # fmt: skip
            assert follower.stdout is not None
            assert follower.stderr is not None
            follower.stdout.readline()
            follower.stdout.close()
            again = AuditLog(log, "gate")
            append(again, "five.test", Action.DENY, "default")
            again.close()
            assert follower.stderr.read() == ""


class TestShow:
    def test_a_quarantine_and_what_it_was_for(self, log: Path) -> None:
        again = AuditLog(log, "gate")
        verdict = {"action": "deny", "rule": "guards.mining", "reason": "stratum"}
        trigger = {
            "verdict": verdict,
            "request": {"type": "Resolve", "kind": "A", "name": "a.test"},
        }
        again.append({"kind": "quarantine", "by": "the policy", "flows": 1, "trigger": trigger})
        again.close()
        code, output = run("show", "--seq", "gate:8", "--log", str(log))
        first, second = output.splitlines()
        assert code == 0
        assert "quarantine  all egress closed by the policy, 1 flows cut" in first
        assert second.startswith("  upon  ")
        assert second.endswith("DENY   guards.mining  dns A a.test  stratum")

    @pytest.mark.parametrize(
        ("arguments", "host"),
        [
            ((), "three.test"),
            (("--seq", "gate:3"), "two.test"),
            (("--verdict", "allow"), "four.test"),
            (("--rule", "guards.mining"), "two.test"),
            (("--verdict", "deny", "--rule", "default"), "three.test"),
        ],
    )
    def test_one_record(self, log: Path, arguments: tuple[str, ...], host: str) -> None:
        code, output = run("show", *arguments, "--log", str(log))
        assert code == 0
        assert f"  tcp {host}:443" in output.splitlines()
        assert "To allow it" in output

    def test_a_record_of_the_log_itself(self, log: Path) -> None:
        code, output = run("show", "--seq", "gate:1", "--log", str(log))
        assert code == 0
        assert "log.opened" in output

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--seq", "gate:99"), "no such record"),
            (("--seq", "other:1"), "no such record"),
            (("--rule", "none"), "no such record"),
            (("--seq", "17"), "write CHAIN:NUMBER"),
            (("--seq", "gate:x"), "write CHAIN:NUMBER"),
            (("--verdict", "maybe"), "maybe"),
        ],
    )
    def test_what_is_not_there(self, log: Path, arguments: tuple[str, ...], told: str) -> None:
        code, output = run("show", *arguments, "--log", str(log))
        assert code == 2
        assert told in output


class TestVerify:
    def test_intact(self, log: Path) -> None:
        code, output = run("verify", "--log", str(log))
        assert code == 0
        assert output.startswith("gate: intact, 6 records\ncheckpoints: none, so a log cut")

    def test_not_closed(self, log: Path) -> None:
        path = segment(log)
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        code, output = run("verify", "--log", str(log))
        assert code == 0
        assert "not closed" in output

    def test_torn(self, log: Path) -> None:
        os.truncate(segment(log), segment(log).stat().st_size - 3)
        code, output = run("verify", "--log", str(log))
        assert code == 3
        assert output.startswith(f"gate: torn at {segment(log)}:6: the last write was cut short")
        assert "records 1 to 5 hold" in output

    def test_tampered(self, log: Path) -> None:
        segment(log).write_bytes(segment(log).read_bytes().replace(b"two.test", b"not.test"))
        code, output = run("verify", "--log", str(log))
        assert code == 1
        assert f"tampered at {segment(log)}:3: the record's hash does not hold" in output

    def test_missing(self, log: Path) -> None:
        segment(log).rename(log / "gate" / f"{7:020d}.log")
        code, output = run("verify", "--log", str(log))
        assert code == 1
        assert "records 1 to 6 are missing" in output
        assert "no record holds" in output


class TestSigned:
    @pytest.fixture
    def signed(self, state: Path) -> Path:
        signed_log(state)
        return state / "audit"

    def test_intact(self, signed: Path, state: Path) -> None:
        key = (state / "authority/audit-key.pub").read_text().strip()
        for arguments in ((), ("--key", key), ("--key", str(state / "authority/audit-key.pub"))):
            code, output = run("verify", *arguments)
            assert code == 0
            assert "a: intact, 4 records, signed to 4\n" in output
            assert "checkpoints: intact, 4, the last of 2" in output
            assert output.endswith(f"signed by {key}\n")

    def test_without_a_key_it_says_so(self, signed: Path, tmp_path: Path) -> None:
        (signed.parent / "authority/audit-key.pub").unlink()
        code, output = run("verify")
        assert code == 0
        assert "signatures not checked: no --key" in output

    def test_a_foreign_key(self, signed: Path, tmp_path: Path) -> None:
        other = str(keys.ensure(tmp_path).public)
        code, output = run("verify", "--key", other)
        assert code == 5
        assert "checkpoints: unsigned at " in output
        assert "no checkpoint holds" in output

    def test_a_copy(self, signed: Path, tmp_path: Path) -> None:
        *_, last = sorted((signed / "checkpoints").iterdir())
        last.rename(tmp_path / "copy")
        code, output = run("verify", "--checkpoint", str(tmp_path / "copy"))
        assert code == 4
        assert "truncated at " in output
        assert "checkpoints 1 to 3 hold" in output

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--key", "nothing"), "give NAME+ID+KEY or the file"),
            (("--key", "a+b+c"), "give NAME+ID+KEY or the file"),
            (("--checkpoint", "/nowhere"), "--checkpoint: "),
        ],
    )
    def test_what_cannot_be_read(self, signed: Path, arguments: tuple[str, ...], told: str) -> None:
        code, output = run("verify", *arguments)
        assert code == 2
        assert told in output

    def test_a_new_key(self, signed: Path) -> None:
        code, output = run("rotate-key")
        assert code == 0
        was, now = (line.split()[1] for line in output.splitlines())
        assert was != now
        assert run("verify", "--key", was)[0] == 0


@pytest.mark.parametrize("command", ["tail", "show", "verify"])
def test_a_log_that_cannot_be_read(tmp_path: Path, command: str) -> None:
    code, output = run(command, "--log", str(tmp_path / "nowhere"))
    assert code == 2
    assert "cannot be read" in output


def test_the_default_is_the_firewalls_own_place(
    log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/audit").symlink_to(log)
    assert run("verify")[0] == 0


def test_the_command_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys; from firewall.cli.audit import app;"
        "sys.exit(any(name in sys.modules for name in ('firewall.audit', 'pynvml')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
