"""Every program that starts under `firewall run` is judged, however it is started."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import SYSTEM_PYTHON, Step, Steps, has_python, opened, take_steps
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Certificates

pytestmark = needs("ssh", "gcc")

POLICY = """
version: 1
name: test
extends: [base]
shell:
  rules:
    - {name: no-back-doors, deny: any, intents: [ssh.forward-remote], reason: nobody needs one}
"""

REVERSE = "-R 8080:localhost:80 host.test"
EVERY_WAY = {
    "by name": f"ssh {REVERSE}",
    "by path": f"/usr/bin/ssh {REVERSE}",
    "relative": f"cd /usr && bin/ssh {REVERSE}",
    "through a link": f"ln -s /usr/bin/ssh quiet && ./quiet {REVERSE}",
    "a copy": f"cp /usr/bin/ssh quiet && ./quiet {REVERSE}",
    "another argument zero": f"bash -c 'exec -a cat ssh {REVERSE}'",
    "a hard link": f"cp /usr/bin/ssh one && ln one two && ./two {REVERSE}",
    "the loader": f"$(ls /lib*/ld-linux-*.so.* | head -1) /usr/bin/ssh {REVERSE}",
    "the loader with options": (
        f"$(ls /lib*/ld-linux-*.so.* | head -1) --library-path /lib /usr/bin/ssh {REVERSE}"
    ),
    "a script": "printf '#!/usr/bin/ssh -R8080:localhost:80\\n' > s; chmod +x s; ./s host.test",
    "a script's script": (
        "printf '#!/usr/bin/env -S ssh -R8080:localhost:80 host.test\\n' > s; chmod +x s; ./s"
    ),
    "env": f"env X=1 ssh {REVERSE}",
    "a descriptor": f"exec 7< /usr/bin/ssh; /proc/self/fd/7 {REVERSE}",
    "a deleted file": f"cp /usr/bin/ssh q; exec 7<q; rm q; /dev/fd/7 {REVERSE}",
}
PYTHON_WAYS = {
    "vfork": "subprocess.run(argv, close_fds=False)",
    "fork": "subprocess.run(argv, preexec_fn=lambda: None)",
    "posix_spawn": "os.waitpid(os.posix_spawn('/usr/bin/ssh', argv, os.environ), 0)",
    "fexecve": "os.execve(os.open('/usr/bin/ssh', os.O_RDONLY), argv, os.environ)",
    "a thread": "t = threading.Thread(target=subprocess.run, args=(argv,)); t.start(); t.join()",
    "memory": (
        "f = os.memfd_create('x'); os.write(f, open('/usr/bin/ssh', 'rb').read());"
        " os.execve(f, argv, os.environ)"
    ),
}
ORDINARY = {
    "nested": "cd /usr; bin/env true",
    "failures": "nosuch; echo $?; /etc/passwd; echo $?; /etc; echo $?; ./$(seq -s x 999); echo $?",
    "hidden": "cp /bin/true t && chmod 111 t && ./t && echo ran",
    "large": "/bin/echo $(seq 20000) | wc -w",
    "many": "for i in $(seq 8); do (for j in $(seq 25); do /bin/true; done) & done; wait; echo ok",
}


def _python(way: str) -> str:
    argv = ["ssh", *REVERSE.split()]
    code = f"import os, subprocess, threading\nargv = {argv}\n{way}"
    return f"{SYSTEM_PYTHON} - <<'END'\n{code}\nEND\n"


def _scripts() -> dict[str, str]:
    ways = {**EVERY_WAY, **ORDINARY}
    if has_python():
        ways |= {name: _python(way) for name, way in PYTHON_WAYS.items()}
    # Each in a folder of its own, because some leave files behind.
    return {name: f"mkdir '{name}.d' && cd '{name}.d' && {way}" for name, way in ways.items()}


@pytest.fixture(scope="module")
def steps(certificates: Certificates) -> Iterator[Steps]:
    with opened(certificates) as workplace:
        yield take_steps(workplace, workplace.policy(POLICY), _scripts())


def executed(step: Step) -> list[tuple[str, str]]:
    """The programs that ran, and their arguments."""
    ran = (each["request"] for each in step.allowed("Execute"))
    return [(Path(each["path"]).name, " ".join(each["argv"])) for each in ran]


@pytest.mark.parametrize("way", [*EVERY_WAY, *(PYTHON_WAYS if has_python() else ())])
def test_a_denied_program_does_not_run(steps: Steps, way: str) -> None:
    step = steps[way]
    assert "firewall: blocked: rule no-back-doors denies" in step.err, step
    assert "nobody needs one" in step.err
    assert step.err.count("firewall: blocked") == 1
    denied = step.blocked[0]
    assert denied["verdict"]["rule"] == "no-back-doors"
    assert denied["request"]["type"] == "Execute"
    assert denied["request"]["digest"]
    assert denied["actor"]["ancestors"]
    assert "ssh" not in {name for name, _ in executed(step)}


def test_the_record_says_what_who_and_where(steps: Steps) -> None:
    last = steps["nested"].allowed("Execute")[-1]
    assert Path(last["request"]["path"]).name == "true"
    assert last["request"]["directory"] == "/usr"
    assert last["verdict"]["rule"] == "shell.default"
    assert Path(last["actor"]["process"]["exe"]).name == "env"


def test_what_cannot_run_fails_as_without_a_gate(steps: Steps) -> None:
    assert steps["failures"].out.split() == ["127", "126", "126", "126"]
    assert steps["failures"].blocked == []


def test_a_program_may_be_hidden_from_readers(steps: Steps) -> None:
    assert steps["hidden"].out == "ran\n"


def test_large_arguments_pass(steps: Steps) -> None:
    assert steps["large"].out.strip() == "20000"


def test_many_programs_at_once(steps: Steps) -> None:
    assert steps["many"].out == "ok\n"
    assert [argv for _, argv in executed(steps["many"])].count("/bin/true") == 200


RACE_POLICY = """
version: 1
name: test
extends: [base]
shell:
  rules:
    - {name: no-quiet, deny: [quiet]}
"""
RACE = r"""
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define KEEP __asm__ volatile("" ::: "memory") /* or the compiler leaves the first copy out */
static char path[32] = "/bin/true";
static void *flip(void *_) {
    for (;;) { memcpy(path, "./quiet\0\0", 10); KEEP; memcpy(path, "/bin/true", 10); KEEP; }
}
int main(void) {
    pthread_t t;
    pthread_create(&t, 0, flip, 0);
    for (int i = 0; i < 3000; i++) {
        pid_t pid = vfork();
        if (!pid) { char *argv[] = {"x", "600", 0}; execv(path, argv); _exit(9); }
        int status;
        waitpid(pid, &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return 0;
    }
    return 1;
}
"""


def test_a_raced_program_is_ended_and_told_of(workplace: Workplace) -> None:
    """A thread that shares the caller's memory changes the path between reading and use."""
    (workplace.work / "race.c").write_text(RACE)
    build = ["gcc", "-O1", "-pthread", "-o", "race", "race.c"]
    subprocess.run(build, cwd=workplace.work, check=True)
    shutil.copy("/usr/bin/sleep", workplace.work / "quiet")
    policy = workplace.policy(RACE_POLICY)
    result = workplace.shell(policy, "./race; echo over $?")
    assert result.out == "over 0\n", "a swap was won and ended; what is not ended sleeps for long"
    swapped = [each for each in result.denied() if "judged" in each["flow"]]
    assert {each["verdict"]["rule"] for each in swapped} == {"no-quiet"}
    assert all(each["flow"]["judged"] == "/usr/bin/true" for each in swapped)
