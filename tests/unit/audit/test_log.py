"""Nothing is acknowledged that is not on the disk, whatever the disk does."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firewall.audit import AuditBusy, AuditError, AuditLog, read, verify
from firewall.audit import log as log_module
from firewall.audit.storage import Disk
from tests.waiting import PATIENCE, eventually

EVENT = {"kind": "verdict", "rule": "default"}


class FaultyDisk(Disk):
    """A disk that fails where a test says so. `fault` runs before each write and sync."""

    def __init__(self) -> None:
        self.fault: Callable[[str], None] = lambda call: None
        self.most = 1 << 30
        self.syncs = 0

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.fault("write")
        return super().write(descriptor, data[: self.most])

    def sync(self, descriptor: int) -> None:
        self.fault("sync")
        self.syncs += 1
        super().sync(descriptor)

    def break_at(self, call: str, code: int) -> None:
        def fault(made: str) -> None:
            if made == call:
                raise OSError(code, os.strerror(code))

        self.fault = fault

    def mend(self) -> None:
        self.fault = lambda call: None


@contextmanager
def opened(directory: Path, **options: Any) -> Iterator[AuditLog]:
    log = AuditLog(directory, "gate", **{"retry_seconds": 0.01, **options})
    try:
        yield log
    finally:
        log.close()


def append(log: AuditLog, event: dict[str, Any] = EVENT) -> Exception | None:
    """Append and wait for the answer."""
    answers: list[Exception | None] = []
    answered = threading.Event()

    def done(error: Exception | None) -> None:
        answers.append(error)
        answered.set()

    log.append(event, done)
    assert answered.wait(PATIENCE), "the log never answered"
    return answers[0]


def open_gate(gate: threading.Event) -> None:
    assert gate.wait(PATIENCE)


def append_many(log: AuditLog, count: int) -> None:
    for _ in range(count):
        log.append(EVENT)


def kinds(directory: Path) -> list[str]:
    return [record["kind"] for record in read(directory)]


def segment(directory: Path) -> Path:
    return max((directory / "gate").glob("*.log"))


class TestWriting:
    def test_records_lie_between_opened_and_closed(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            assert append(log) is None
            assert log.state == "ok"
        assert kinds(tmp_path) == ["log.opened", "verdict", "log.closed"]
        first = next(iter(read(tmp_path)))
        assert (first["seq"], first["chain"], first["pid"]) == (1, "gate", os.getpid())
        assert first["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert verify(tmp_path).status == "intact"

    def test_files_are_private(self, tmp_path: Path) -> None:
        with opened(tmp_path / "audit"):
            pass
        assert (tmp_path / "audit/gate").stat().st_mode & 0o777 == 0o700
        file = tmp_path / "audit/gate/00000000000000000001.log"
        assert file.stat().st_mode & 0o777 == 0o600

    def test_the_answer_comes_after_the_sync(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk) as log:
            before = disk.syncs
            seen: list[int] = []
            log.append(EVENT, lambda error: seen.append(disk.syncs))
            eventually(lambda: bool(seen))
        assert seen == [before + 1]

    def test_what_is_not_urgent_waits_for_others(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk, linger_seconds=PATIENCE) as log:
            before = disk.syncs
            seen: list[int] = []
            for urgent in (False, False, True):
                log.append(EVENT, lambda error: seen.append(disk.syncs), urgent=urgent)
            eventually(lambda: len(seen) == 3)
        assert seen == [before + 1] * 3, "what is urgent takes the others along, in their order"

    def test_what_is_not_urgent_does_not_wait_for_long(self, tmp_path: Path) -> None:
        seen: list[Exception | None] = []
        with opened(tmp_path, linger_seconds=0.01) as log:
            log.append(EVENT, seen.append, urgent=False)
            eventually(lambda: seen == [None])

    def test_waiters_share_one_sync(self, tmp_path: Path) -> None:
        disk, gate = FaultyDisk(), threading.Event()
        with opened(tmp_path, storage=disk) as log:
            disk.fault = lambda call: open_gate(gate)
            answers: list[Exception | None] = []
            for _ in range(101):
                log.append(EVENT, answers.append)
            before = disk.syncs
            gate.set()
            eventually(lambda: len(answers) == 101)
            assert answers == [None] * 101
            assert disk.syncs - before <= 2

    def test_urgent_records_of_one_turn_wait_for_its_end(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        turn: list[Callable[[], None]] = []

        def gather(call: Callable[[], None]) -> bool:
            turn.append(call)
            return True

        with opened(tmp_path, storage=disk, gather=gather) as log:
            before = disk.syncs
            seen: list[int] = []
            for _ in range(3):
                log.append(EVENT, lambda error: seen.append(disk.syncs))
            time.sleep(0.02)
            assert not seen, "the turn goes on"
            turn[0]()
            eventually(lambda: len(seen) == 3)
        assert seen == [before + 1] * 3

    def test_a_turn_that_never_ends_loses_no_record(self, tmp_path: Path) -> None:
        seen: list[Exception | None] = []
        with opened(tmp_path, gather=lambda call: True) as log:
            log.append(EVENT, seen.append)
        assert seen == [None]
        assert kinds(tmp_path) == ["log.opened", "verdict", "log.closed"]

    def test_a_chain_goes_on_after_a_restart(self, tmp_path: Path) -> None:
        for _ in range(3):
            with opened(tmp_path) as log:
                append(log)
        report = verify(tmp_path)
        assert (report.status, report.chains[0].records) == ("intact", 9)
        assert len(list((tmp_path / "gate").glob("*.log"))) == 1

    def test_segments_follow_by_size(self, tmp_path: Path) -> None:
        with opened(tmp_path, segment_limit=1000) as log:
            for _ in range(20):
                assert append(log) is None
        files = sorted((tmp_path / "gate").glob("*.log"))
        assert len(files) > 3
        for file in files:
            first = json.loads(file.read_bytes().splitlines()[0])["seq"]
            assert file.name == f"{first:020d}.log"
        with opened(tmp_path, segment_limit=1000) as log:
            assert append(log) is None
        assert verify(tmp_path).status == "intact"

    def test_short_writes_are_finished(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        disk.most = 7
        with opened(tmp_path, storage=disk) as log:
            assert append(log) is None
        assert verify(tmp_path).status == "intact"

    def test_one_writer_a_chain(self, tmp_path: Path) -> None:
        with opened(tmp_path), pytest.raises(AuditBusy, match="another process is writing"):
            AuditLog(tmp_path, "gate")
        with opened(tmp_path):
            pass

    @pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "a\n"])
    def test_a_chain_has_a_plain_name(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="write 1 to 64"):
            AuditLog(tmp_path, name)

    def test_a_failing_listener_harms_nobody(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(told: object) -> None:
            raise RuntimeError("a listener's own mistake")

        with opened(tmp_path, observe=fail) as log:
            log.append(EVENT, fail)
            assert append(log) is None
        assert "a listener of the audit log failed" in caplog.text

    def test_appends_are_timed(self, tmp_path: Path) -> None:
        times: list[float] = []
        with opened(tmp_path, observe=times.append) as log:
            append(log)
        assert len(times) == 1
        assert 0 < times[0] < 10

    def test_after_close_nothing_is_taken(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            pass
        assert str(append(log)) == log.state == "the audit log is closed"

    def test_close_writes_what_is_queued(self, tmp_path: Path) -> None:
        log = AuditLog(tmp_path, "gate")
        for _ in range(2000):
            log.append(EVENT)
        log.close()
        assert kinds(tmp_path).count("verdict") == 2000

    def test_many_threads_append_at_once(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            work = [threading.Thread(target=append_many, args=(log, 500)) for _ in range(8)]
            for thread in work:
                thread.start()
            for thread in work:
                thread.join()
        assert verify(tmp_path).chains[0].records == 4002


class TestQueue:
    def test_a_full_queue_fails_at_once_and_is_told_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "QUEUE_LIMIT", 10)
        disk, gate, entered = FaultyDisk(), threading.Event(), threading.Event()

        def hold(call: str) -> None:
            entered.set()
            gate.wait(PATIENCE)

        with opened(tmp_path, storage=disk) as log:
            disk.fault = hold
            log.append(EVENT)
            assert entered.wait(PATIENCE)
            for _ in range(10):
                log.append(EVENT)
            assert "10 records behind the disk" in str(append(log))
            gate.set()
            eventually(lambda: append(log) is None)
        *_, closed = read(tmp_path)
        assert closed["kind"] == "log.closed"
        assert closed["refused"] >= 1

    def test_bytes_are_bounded_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_module, "QUEUE_BYTES", 1000)
        disk, gate, entered = FaultyDisk(), threading.Event(), threading.Event()

        def hold(call: str) -> None:
            entered.set()
            gate.wait(PATIENCE)

        with opened(tmp_path, storage=disk) as log:
            disk.fault = hold
            log.append(EVENT)
            assert entered.wait(PATIENCE)
            log.append({"kind": "x", "long": "y" * 1000})
            assert "behind the disk" in str(append(log))
            gate.set()
        assert kinds(tmp_path) == ["log.opened", "verdict", "x", "log.closed"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "sync"])
class TestBrokenDisk:
    def test_nothing_is_acknowledged_and_the_state_says_why(
        self, tmp_path: Path, call: str, code: int
    ) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk) as log:
            disk.break_at(call, code)
            for _ in range(3):
                error = append(log)
                assert isinstance(error, AuditError)
                assert os.strerror(code) in str(error)
            assert os.strerror(code) in log.state
        assert kinds(tmp_path)[0] == "log.opened"
        assert "log.closed" not in kinds(tmp_path)

    def test_it_mends_itself_and_tells(self, tmp_path: Path, call: str, code: int) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk) as log:
            append(log, {"kind": "first"})
            disk.break_at(call, code)
            assert append(log, {"kind": "lost"}) is not None
            disk.mend()
            eventually(lambda: log.state == "ok")
            assert append(log, {"kind": "second"}) is None
        assert verify(tmp_path).status == "intact"
        assert kinds(tmp_path) == ["log.opened", "first", "log.recovered", "second", "log.closed"]
        recovered = list(read(tmp_path))[2]
        assert recovered["refused"] == 1
        assert os.strerror(code) in recovered["reason"]

    def test_it_cannot_be_opened(self, tmp_path: Path, call: str, code: int) -> None:
        disk = FaultyDisk()
        disk.break_at(call, code)
        with pytest.raises(AuditError, match="free or mend the disk"):
            AuditLog(tmp_path, "gate", storage=disk)
        with opened(tmp_path):
            pass
        assert verify(tmp_path).status == "intact"


class TestRecovery:
    def test_bytes_of_a_failed_sync_are_kept_aside(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk) as log:
            disk.break_at("sync", errno.EIO)
            append(log, {"kind": "lost"})
            disk.mend()
            eventually(lambda: log.state == "ok")
        torn = list(read(tmp_path))[1]["torn"]
        kept = (tmp_path / "gate" / torn["kept"]).read_bytes()
        assert b'"kind":"lost"' in kept
        assert torn["length"] == len(kept)

    def test_a_disk_that_stays_full_leaves_no_litter(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk) as log:
            length = segment(tmp_path).stat().st_size
            calls = []

            def fault(call: str) -> None:
                calls.append(call)
                if call == "sync" and segment(tmp_path).stat().st_size > length:
                    raise OSError(errno.EIO, "a bad block")

            disk.fault = fault
            append(log)
            eventually(lambda: calls.count("sync") > 10)
            assert len(list((tmp_path / "gate/torn").iterdir())) == 1
            disk.mend()
            eventually(lambda: log.state == "ok")
        assert list(read(tmp_path))[1]["torn"] is not None

    def test_a_failure_between_two_segments(self, tmp_path: Path) -> None:
        disk = FaultyDisk()
        with opened(tmp_path, storage=disk, segment_limit=1) as log:
            disk.break_at("write", errno.ENOSPC)
            assert append(log) is not None
            assert len(list((tmp_path / "gate").glob("*.log"))) == 2
            disk.mend()
            eventually(lambda: log.state == "ok")
            assert append(log) is None
        assert verify(tmp_path).status == "intact"

    def test_a_log_deleted_while_written_denies(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            segment(tmp_path).unlink()
            assert "is gone" in str(append(log))
            eventually(lambda: "the chain's files are gone" in log.state)
            assert append(log) is not None

    def test_a_log_changed_while_written_denies(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            append(log)
            os.truncate(segment(tmp_path), 10)
            assert "changed by someone else" in str(append(log))
            eventually(
                lambda: "known to be written, is not there" in log.state or ":1: " in log.state
            )
            assert append(log) is not None

    def test_what_another_adds_is_set_aside(self, tmp_path: Path) -> None:
        with opened(tmp_path) as log:
            with segment(tmp_path).open("ab") as file:
                file.write(b"not a record\n")
            assert "changed by someone else" in str(append(log))
            eventually(lambda: log.state == "ok")
            assert append(log) is None
        assert verify(tmp_path).status == "intact"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small whole log."""
    directory = tmp_path_factory.mktemp("small")
    with opened(directory) as log:
        append(log)
        append(log)
    return segment(directory).read_bytes()


def lay(directory: Path, data: bytes) -> Path:
    """A log with these bytes in its only segment."""
    folder = directory / "gate"
    folder.mkdir(parents=True)
    path = folder / f"{1:020d}.log"
    path.write_bytes(data)
    return path


class TestOpening:
    def test_truncated_anywhere_it_opens_and_says_what_was_torn(
        self, tmp_path: Path, small: bytes
    ) -> None:
        ends = {place + 1 for place, byte in enumerate(small) if byte == 0x0A} | {0}
        for length in sorted({*range(0, len(small), 3), *ends, *(end - 1 for end in ends if end)}):
            directory = tmp_path / str(length)
            lay(directory, small[:length])
            with opened(directory):
                pass
            assert verify(directory).status == "intact"
            recovered = [each for each in read(directory) if each["kind"] == "log.recovered"]
            if length in ends:
                assert not recovered
                continue
            whole = max(end for end in ends if end < length)
            (record,) = recovered
            assert record["torn"]["length"] == length - whole
            kept = directory / "gate" / record["torn"]["kept"]
            assert kept.read_bytes() == small[whole:length]

    def test_zeros_to_the_end_are_a_torn_tail(self, tmp_path: Path, small: bytes) -> None:
        start = small.rindex(b"\n", 0, -1) + 100
        lay(tmp_path, small[:start] + bytes(len(small) - start))
        with opened(tmp_path):
            pass
        assert "log.recovered" in kinds(tmp_path)

    @pytest.mark.parametrize("line", [0, 1, 2, 3])
    def test_a_changed_record_refuses_the_start(
        self, tmp_path: Path, small: bytes, line: int
    ) -> None:
        lines = small.splitlines(keepends=True)
        lines[line] = lines[line].replace(b'"kind":"', b'"kind":"X', 1)
        path = lay(tmp_path, b"".join(lines))
        with pytest.raises(AuditError) as refusal:
            AuditLog(tmp_path, "gate")
        message = str(refusal.value)
        assert message.startswith(f"{path}:{line + 1}: the record's hash does not hold")
        assert "firewall audit verify --log" in message
        assert "moving it elsewhere" in message
        assert path.read_bytes() == b"".join(lines)

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            ([0, 2, 3], "record 3 stands where record 2 belongs"),
            ([0, 2, 1, 3], "record 3 stands where record 2 belongs"),
            ([0, 1, 1, 2, 3], "record 2 stands where record 3 belongs"),
            ([1, 2, 3], "record 2 stands where record 1 belongs"),
        ],
    )
    def test_moved_records_refuse_the_start(
        self, tmp_path: Path, small: bytes, order: list[int], reason: str
    ) -> None:
        lines = small.splitlines(keepends=True)
        lay(tmp_path, b"".join(lines[each] for each in order))
        with pytest.raises(AuditError, match=reason):
            AuditLog(tmp_path, "gate")

    @pytest.mark.parametrize(
        ("gone", "reason"), [(0, "missing"), (-2, "a segment is missing: record")]
    )
    def test_missing_segments_refuse_the_start(
        self, tmp_path: Path, gone: int, reason: str
    ) -> None:
        with opened(tmp_path, segment_limit=1) as log:
            append(log)
            append(log)
        files = sorted((tmp_path / "gate").glob("*.log"))
        if gone == 0:
            for file in files[:-1]:
                file.unlink()
        else:
            files[gone].unlink()
        with pytest.raises(AuditError, match=reason):
            AuditLog(tmp_path, "gate")

    def test_a_torn_tail_too_long_for_one_batch_refuses_the_start(
        self, tmp_path: Path, small: bytes
    ) -> None:
        lay(tmp_path, small + bytes(20 << 20))
        with pytest.raises(AuditError, match="hash does not hold"):
            AuditLog(tmp_path, "gate")

    def test_a_refused_start_leaves_the_lock(self, tmp_path: Path, small: bytes) -> None:
        path = lay(tmp_path, small[50:])
        for _ in range(2):
            with pytest.raises(AuditError, match="hash does not hold"):
                AuditLog(tmp_path, "gate")
        path.write_bytes(small)
        with opened(tmp_path):
            pass

    @settings(max_examples=50)
    @given(tail=st.binary(min_size=1, max_size=200))
    def test_any_bytes_behind_the_end_are_torn_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, small: bytes, tail: bytes
    ) -> None:
        directory = tmp_path_factory.mktemp("any")
        lay(directory, small + tail)
        before = verify(directory).status
        assert before in ("torn", "tampered")
        if before == "tampered":
            with pytest.raises(AuditError):
                AuditLog(directory, "gate")
        else:
            with opened(directory):
                pass
            assert verify(directory).status == "intact"


WRITER = """
import itertools, sys, threading
from pathlib import Path
from firewall.audit import AuditLog
log = AuditLog(Path(sys.argv[1]), "gate", segment_limit=200_000)
lock = threading.Lock()
def done(error, number):
    with lock:
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
for number in itertools.count():
    log.append({"kind": "n", "n": number, "pad": "x" * (number % 3000)},
               lambda error, number=number: done(error, number))
"""


def test_killed_at_random_points_every_acknowledged_record_is_there(tmp_path: Path) -> None:
    chance = random.Random(1)
    for round_ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, bufsize=0
        )
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        told = (first + writer.stdout.read()).split(b"\n")[:-1]
        writer.stdout.close()
        writer.wait()
        assert verify(tmp_path).status in ("intact", "torn"), f"round {round_}"
        run = [record for record in read(tmp_path) if record["kind"] in ("n", "log.opened")]
        started = max(place for place, each in enumerate(run) if each["kind"] == "log.opened")
        written = {each["n"] for each in run[started + 1 :]}
        assert told
        assert {int(number) for number in told} <= written, f"round {round_}"
    with opened(tmp_path):
        pass
    assert verify(tmp_path).status == "intact"
