"""Every program that starts under `firewall run` is judged, however it is started: real programs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Clients

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
    "a script": f"printf '#!/usr/bin/ssh -R8080:localhost:80\\n' > s; chmod +x s; ./s host.test",
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
PYTHON = shutil.which("python3", path="/usr/bin:/bin")


def denials(clients: Clients) -> list[dict[str, Any]]:
    records = [each for each in clients.records() if each["kind"] == "verdict"]
    return [each for each in records if each["verdict"]["action"] == "deny"]


@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_denied_program_does_not_run(clients: Clients, way: str) -> None:
    result = clients.run("bash", "-c", EVERY_WAY[way])
    assert "firewall: blocked: ssh: remote forwarding" in result.stderr, result
    assert result.returncode != 0
    denied = denials(clients)
    assert denied
    assert {each["verdict"]["rule"] for each in denied} == {"guards.ssh-reverse-forwarding"}
    assert denied[-1]["request"]["digest"]


@pytest.mark.parametrize("way", PYTHON_WAYS)
def test_however_python_starts_it(clients: Clients, way: str) -> None:
    code = f"""
import os, subprocess, threading
argv = ["ssh", *"{REVERSE}".split()]
{PYTHON_WAYS[way]}
"""
    assert PYTHON
    clients.run(PYTHON, "-c", code)
    assert [each["verdict"]["rule"] for each in denials(clients)] == [
        "guards.ssh-reverse-forwarding"
    ]


def test_the_record_says_what_who_and_where(clients: Clients) -> None:
    clients.run("bash", "-c", "cd /usr; bin/env true")
    executed = [each for each in clients.records() if each.get("request", {}).get("type") == "Execute"]
    paths = [Path(each["request"]["path"]).name for each in executed]
    assert paths[0] == "bash"
    last = executed[-1]
    assert Path(last["request"]["path"]).name == "true"
    assert last["request"]["directory"] == "/usr"
    assert last["verdict"]["rule"] == "shell.default"
    assert Path(last["actor"]["process"]["exe"]).name == "env"


def test_what_cannot_run_fails_as_without_a_gate(clients: Clients) -> None:
    script = """
nosuch; echo $?
/etc/hosts; echo $?
/etc; echo $?
./$(printf 'x%.0s' $(seq 300)); echo $?
"""
    result = clients.run("bash", "-c", script)
    assert result.stdout.split() == ["127", "126", "126", "126"]
    assert denials(clients) == []


def test_a_program_may_be_hidden_from_readers(clients: Clients) -> None:
    result = clients.run("bash", "-c", "cp /bin/true t && chmod 111 t && ./t && echo ran")
    assert result.stdout == "ran\n"


def test_large_arguments_pass(clients: Clients) -> None:
    result = clients.run("bash", "-c", "/bin/echo $(seq 20000) | wc -w")
    assert result.stdout.strip() == "20000"


def test_many_programs_at_once(clients: Clients) -> None:
    script = "for i in $(seq 8); do (for j in $(seq 25); do /bin/true; done) & done; wait; echo ok"
    result = clients.run("bash", "-c", script)
    assert result.stdout == "ok\n"
    ran = [each for each in clients.records() if each.get("request", {}).get("type") == "Execute"]
    assert sum(each["request"]["argv"][0] == "/bin/true" for each in ran) == 200


RACE = r"""
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static char path[32] = "/bin/true";
static void *flip(void *_) {
    for (;;) { memcpy(path, "./evil\0\0\0", 10); memcpy(path, "/bin/true", 10); }
}
int main(void) {
    pthread_t t;
    pthread_create(&t, 0, flip, 0);
    for (int i = 0; i < 300; i++) {
        pid_t pid = vfork();
        if (!pid) {
            char *argv[] = {"x", "-R", "8080:localhost:80", "host.test", 0};
            execv(path, argv);
            _exit(9);
        }
        waitpid(pid, 0, 0);
    }
}
"""


def test_a_raced_program_does_not_run_unnoticed(clients: Clients, tmp_path: Path) -> None:
    """Threads that share the caller's memory change the path between its reading and its use."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler")
    folder = Path(clients.directory)
    (folder / "race.c").write_text(RACE)
    subprocess.run([compiler, "-O1", "-o", folder / "race", folder / "race.c", "-lpthread"], check=True)
    (folder / "evil").write_text("#!/bin/sh\necho ran >> raced\nsleep 0.5\n")
    (folder / "evil").chmod(0o755)
    clients.run("bash", "-c", "cp /usr/bin/sleep sl; chmod +x evil race; ./race")
    ran = folder / "raced"
    times = len(ran.read_text().split()) if ran.exists() else 0
    seen = [
        each
        for each in clients.records()
        if each.get("request", {}).get("type") == "Execute"
        and "evil" in json.dumps(each["request"])
    ]
    assert len(seen) >= times
