"""The gate's answers, and what it does when something in it fails."""

import ctypes
import errno
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.ports import Answer
from firewall.requests import Execute, Request
from firewall.verdict import Verdict
from tests.unit.sandbox.execgate.stage import ALLOW, DENY, Stage, deny
from tests.waiting import eventually


def test_what_is_allowed_runs_and_is_recorded() -> None:
    stage = Stage()
    assert stage.execute("/bin/sh", "-c", "/bin/true; exit 7") == 7
    assert [Path(each.argv[0]).name for each in stage.policy.requests] == ["sh", "true"]
    assert stage.rules() == ["test-allow", "test-allow"]
    actor = stage.memory.records[1]["actor"]
    assert actor["process"]["argv"] == ["/bin/sh", "-c", "/bin/true; exit 7"]
    assert actor["ancestors"]


def test_what_is_denied_does_not_run_and_says_why() -> None:
    stage = Stage(deny("id"))
    assert stage.execute("/bin/sh", "-c", "/usr/bin/id; echo $? >&2") == 0
    assert stage.stderr.startswith(
        "firewall: blocked: the test denies it (rule test-deny); to allow it: ask the test\n"
    )
    assert stage.stderr.endswith("126\n")
    assert stage.rules() == ["test-allow", "test-deny"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/no/such", errno.ENOENT),
        ("/etc/passwd/x", errno.ENOTDIR),
        ("/etc/passwd", 126),
        ("/etc", 126),
        ("/" + "x" * 5000, errno.ENAMETOOLONG),
        ("", errno.ENOENT),
    ],
)
def test_what_cannot_run_fails_as_the_kernel_would_have_it(path: str, code: int) -> None:
    stage = Stage()
    assert stage.run(lambda: os.execv(path, ["x"])) == code
    assert stage.policy.requests == []


def test_a_file_may_not_appear_between_the_look_and_the_start(tmp_path: Path) -> None:
    """What is not there fails, so that nothing unjudged can take its place in time."""
    target = tmp_path / "late"
    stage = Stage()
    assert stage.run(lambda: os.execv(target, ["late"])) == errno.ENOENT


@pytest.mark.parametrize("point", ["execgate.take", "execgate.decide"])
def test_a_fault_is_a_recorded_deny(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    stage = Stage()
    assert stage.execute("/bin/true") == 126
    assert stage.rules() == [f"fail-closed.{point}"]


def test_a_record_that_cannot_be_written_stops_programs() -> None:
    """An allow is answered when its record is in the queue, which takes none after one failed."""
    stage = Stage()
    stage.memory.full = True
    assert stage.execute("/bin/true") == 126
    stage.memory.full = False
    assert stage.execute("/bin/true") == 0


def test_a_verdict_may_take_its_time() -> None:
    stage = Stage()
    waiting: list[Answer] = []

    def later(request: Request, actor: Actor, flow: object, answer: Answer, **more: bool) -> None:
        waiting.append(answer)

    stage.judge.decide = later  # type: ignore[method-assign]

    def act() -> None:
        os.execv("/bin/true", ["true"])

    def consent() -> None:
        eventually(lambda: bool(waiting))
        time.sleep(0.05)
        waiting[0](ALLOW)

    thread = threading.Thread(target=consent)
    thread.start()
    assert stage.run(act) == 0
    thread.join()


def test_what_runs_instead_is_judged_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced between the verdict and the start."""
    target = tmp_path / "program"
    target.write_bytes(Path("/bin/true").read_bytes())
    target.chmod(0o755)
    evil = tmp_path / "evil"
    evil.write_bytes(Path("/bin/sleep").read_bytes())
    evil.chmod(0o755)

    def decide(request: object) -> Verdict:
        path = getattr(request, "path", "")
        if path == str(target) and evil.exists():
            evil.rename(target)
            return ALLOW
        return DENY

    stage = Stage(decide)
    assert stage.execute(str(target), "60") == -9
    assert stage.rules() == ["test-allow", "test-deny"]
    assert stage.memory.records[1]["flow"] == {"judged": str(target)}


def test_a_path_that_another_process_changes_in_time_is_judged_as_it_runs(tmp_path: Path) -> None:
    """As a tracer may, or who shares the memory: while the call waits, so without luck."""
    evil = tmp_path / "evil"
    evil.write_bytes(Path("/bin/sleep").read_bytes())
    evil.chmod(0o755)
    path = ctypes.create_string_buffer(b"/bin/true", 4096)
    arguments = (ctypes.c_char_p * 3)(b"x", b"60", None)

    def decide(request: Execute) -> Verdict:
        if request.path == str(evil):
            return DENY
        *_, child = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        with open(f"/proc/{child}/mem", "r+b", buffering=0) as caller:
            caller.seek(ctypes.addressof(path))
            caller.write(bytes(evil) + b"\0")
        return ALLOW

    stage = Stage(decide)
    assert stage.run(lambda: ctypes.CDLL(None).execv(path, arguments)) == -9
    assert stage.rules() == ["test-allow", "test-deny"]
    assert stage.ran == ["true", "evil"]


def test_a_fault_after_the_start_ends_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, evil = tmp_path / "program", tmp_path / "evil"
    for path, source in ((target, "/bin/true"), (evil, "/bin/sleep")):
        path.write_bytes(Path(source).read_bytes())
        path.chmod(0o755)

    def swap(request: object) -> Verdict:
        evil.rename(target)
        return ALLOW

    def fault(here: str) -> None:
        if here == "execgate.verify":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    stage = Stage(swap)
    assert stage.execute(str(target), "60") == -9
    assert stage.rules() == ["test-allow", "fail-closed.execgate.verify"]


def test_a_caller_that_is_killed_while_it_waits_does_no_harm() -> None:
    stage = Stage()

    def act() -> None:
        child = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"])
        time.sleep(0.1)
        child.kill()
        child.wait()
        os.execv("/bin/true", ["true"])

    assert stage.run(act) == 0
    assert not [rule for rule in stage.rules() if rule.startswith("fail-closed")]


ARGUMENTS_FLIP = r"""
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define KEEP __asm__ volatile("" ::: "memory") /* or the compiler leaves the first copy out */
static char word[8] = "0";
static void *flip(void *_) {
    for (;;) { memcpy(word, "60", 3); KEEP; memcpy(word, "0", 2); KEEP; }
}
int main(void) {
    pthread_t t;
    pthread_create(&t, 0, flip, 0);
    for (int i = 0; i < 3000; i++) {
        pid_t pid = vfork();
        if (!pid) { char *argv[] = {"sleep", word, 0}; execv("/bin/sleep", argv); _exit(9); }
        int status;
        waitpid(pid, &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return 0;
    }
    return 1;
}
"""


def test_arguments_that_are_changed_in_time_are_judged_as_they_run(tmp_path: Path) -> None:
    """A thread that shares the caller's memory changes them after they were read."""
    if shutil.which("gcc") is None:
        pytest.skip("no compiler")
    (tmp_path / "flip.c").write_text(ARGUMENTS_FLIP)
    build = ["gcc", "-O1", "-pthread", "-o", "flip", "flip.c"]
    subprocess.run(build, cwd=tmp_path, check=True)
    stage = Stage(lambda request: DENY if "60" in request.argv else ALLOW)
    assert stage.execute(str(tmp_path / "flip")) == 0, "one was changed in time, and ended"


def test_a_program_that_renames_itself_is_judged_again_and_lives() -> None:
    code = (
        "import ctypes, sys, time; ctypes.CDLL(None).prctl(15, b'x'); time.sleep(0.05); sys.exit(4)"
    )
    stage = Stage()
    assert stage.execute("/usr/bin/python3", "-c", code) == 4
