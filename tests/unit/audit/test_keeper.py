"""Checkpoints come in time, one process at a time, and are told elsewhere."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from firewall.audit import AuditLog, Keeper, keys, place, read_seen, verify
from firewall.audit.keeper import Pace
from firewall.audit.signer import Signer
from firewall.audit.witness import Place
from tests.unit.audit.signing import append
from tests.waiting import eventually

NEVER = Pace(records=1 << 30, seconds=1e9, idle_seconds=1e9)


@contextmanager
def keeping(root: Path, pace: Pace = NEVER, *places: Place) -> Iterator[tuple[AuditLog, Keeper]]:
    log = AuditLog(root / "audit", "a")
    keeper = Keeper(
        root / "audit", root / "authority", places=places, pace=pace, poll_seconds=0.005
    )
    keeper.start()
    try:
        yield log, keeper
    finally:
        log.close()
        keeper.close()


def count(root: Path) -> int:
    return verify(root / "audit").checkpoints.count


def test_what_came_last_is_signed_at_the_end(tmp_path: Path) -> None:
    with keeping(tmp_path) as (log, keeper):
        append(log, 1)
    assert keeper.state == "ok"
    report = verify(tmp_path / "audit", keys.load(tmp_path / "authority").public)
    assert (report.status, report.checkpoints.count) == ("intact", 1)
    assert report.chains[0].signed == report.chains[0].records == 3


@pytest.mark.parametrize(
    "pace",
    [
        Pace(records=1, seconds=1e9, idle_seconds=1e9),
        Pace(records=1 << 30, seconds=0.01, idle_seconds=1e9),
        Pace(records=1 << 30, seconds=1e9, idle_seconds=0.01),
    ],
    ids=["records", "seconds", "idle"],
)
def test_each_pace_brings_one(tmp_path: Path, pace: Pace) -> None:
    with keeping(tmp_path, pace) as (log, _):
        append(log, 1)
        eventually(lambda: count(tmp_path) >= 1)
        append(log, 2)
        eventually(lambda: count(tmp_path) >= 2)


def test_another_goes_on_when_one_ends(tmp_path: Path) -> None:
    pace = Pace(records=1, seconds=1e9, idle_seconds=1e9)
    with keeping(tmp_path, pace) as (log, first):
        second = Keeper(tmp_path / "audit", tmp_path / "authority", pace=pace, poll_seconds=0.005)
        eventually(lambda: count(tmp_path) >= 1)
        second.start()
        first.close()
        append(log, 1)
        eventually(lambda: verify(tmp_path / "audit").chains[0].signed == 2)
        second.close()
    assert verify(tmp_path / "audit").status == "intact"


def test_what_cannot_be_signed_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "authority").mkdir(mode=0o700)
    key = tmp_path / "authority/audit-key"
    key.write_text("nothing")
    key.chmod(0o600)
    with keeping(tmp_path, Pace(records=1)) as (log, keeper):
        eventually(lambda: "restore it" in keeper.state)
        append(log, 1)
        key.unlink()
        eventually(lambda: keeper.state == "ok")
        number, at = keeper.newest() or (0, 0.0)
        assert number >= 1
        assert abs(at - time.time()) < 60
    assert caplog.text.count("cannot be signed") == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("error", "traced"),
    [(OSError(errno.ENOSPC, "No space left on device"), False), (RuntimeError("a bug"), True)],
)
def test_a_full_disk_is_told_in_a_line_and_a_bug_with_its_place(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    traced: bool,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Signer, "sign", fail)
    with keeping(tmp_path, Pace(records=1)) as (log, keeper):
        append(log, 1)
        eventually(lambda: str(error) in keeper.state)
    assert ("Traceback" in caplog.text) is traced
    assert f"a cut at its end would not be seen until this is mended: {error}" in caplog.text


class TestPlaces:
    def test_a_file(self, tmp_path: Path) -> None:
        with keeping(tmp_path, Pace(records=1), place(str(tmp_path / "copy"))) as (log, _):
            eventually(lambda: count(tmp_path) >= 1)
            append(log, 1)
        seen = read_seen(tmp_path / "copy")
        key = keys.load(tmp_path / "authority").public
        assert len(seen) == count(tmp_path) >= 2
        assert verify(tmp_path / "audit", key, seen).status == "intact"

    def test_the_standard_output(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with keeping(tmp_path, NEVER, place("-")):
            pass
        (tmp_path / "copy").write_text(capsys.readouterr().out)
        assert len(read_seen(tmp_path / "copy")) == 1

    def test_a_server(self, tmp_path: Path) -> None:
        got: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            with keeping(tmp_path, NEVER, place(f"http://127.0.0.1:{server.server_port}/")):
                pass
            server.shutdown()
            thread.join()
        (tmp_path / "copy").write_bytes(b"".join(got))
        assert len(read_seen(tmp_path / "copy")) == 1

    def test_one_that_fails_harms_nobody(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone = place(str(tmp_path / "no/such/copy"))
        with keeping(tmp_path, NEVER, gone, place(str(tmp_path / "copy"))) as (_, keeper):
            pass
        assert keeper.state == "ok"
        assert "checkpoint 1 could not be told" in caplog.text
        assert len(read_seen(tmp_path / "copy")) == 1
