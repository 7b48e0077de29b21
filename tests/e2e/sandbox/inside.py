"""Runs programs in a sandbox, with the firewall being root or an ordinary user.

Each run has a firewall of its own, in a forked process: it can become another user, and be killed,
without the tests noticing.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from firewall.sandbox import Sandbox, SandboxSpec
from firewall.sandbox.execgate import notify
from tests.waiting import PATIENCE

USER = 54321 if os.geteuid() == 0 else os.geteuid()
"""As whom the agent runs: nobody in particular, or who runs the tests."""
PYTHON = shutil.which("python3", path="/usr/bin:/bin")
IS_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Result:
    """How the agent ended (as a shell reports it), what it printed, what `serve` returned."""

    status: int
    output: str
    served: Any = None

    def json(self) -> Any:
        return json.loads(self.output)


type Serve = Callable[[Sandbox], Any]


@dataclass
class Inside:
    """Starts sandboxes in `directory` for one kind of firewall."""

    directory: Path
    ca_pem: bytes
    root: bool
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
    )

    def spec(self, *argv: str, **more: Any) -> SandboxSpec:
        values: dict[str, Any] = {
            "directory": str(self.directory),
            "environment": self.environment,
            "user": (USER, USER) if self.root else None,
            "ca_pem": self.ca_pem,
        }
        return SandboxSpec(argv=argv, **values | more)

    def run(self, *argv: str, serve: Serve | None = None, **more: Any) -> Result:
        """Run a program to its end; `serve` acts as the firewall meanwhile."""
        wanted = self.spec(*argv, **more)
        return self.firewall(lambda: _supervise(wanted, serve))

    def meanwhile(self, serve: Serve) -> Any:
        """What `serve` returns, who acts as the firewall while an agent waits for it."""

        def act(sandbox: Sandbox) -> Any:
            served = serve(sandbox)
            (self.directory / "done").touch()
            return served

        return self.run("sh", "-c", "until [ -e done ]; do sleep 0.01; done", serve=act).served

    def python(self, code: str, *arguments: str, **more: Any) -> Result:
        """Run Python code, of the system's Python, which every user can read."""
        assert PYTHON
        return self.run(PYTHON, "-c", code, *arguments, **more)

    @contextmanager
    def running(self, code: str, **more: Any) -> Iterator[Sandbox]:
        """A sandbox that runs Python code, for acts of a firewall (see `firewall`)."""
        assert PYTHON
        sandbox = Sandbox.launch(self.spec(PYTHON, "-c", code, **more))
        gate = None
        try:
            gate = start(sandbox)
            yield sandbox
        finally:
            sandbox.close()
            if gate is not None:
                gate.join()

    def outside(self, code: str) -> subprocess.CompletedProcess[str]:
        """The same code by the same user without a sandbox: shows that an attempt can succeed."""
        assert PYTHON
        user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if IS_ROOT else {}
        return subprocess.run(
            [PYTHON, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            **user,
        )

    def firewall[T](self, act: Callable[[], T]) -> T:
        """Run `act` in a process of its own, as the user that the firewall is to be."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_firewall(self.root, act, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert text, f"the firewall ended with {os.waitstatus_to_exitcode(status)}"
        kind, value = json.loads(text)
        if kind == "error":
            raise FirewallError(value)
        return cast("T", Result(**value) if kind == "result" else value)


def start(sandbox: Sandbox) -> threading.Thread | None:
    """Let the agent run, and on the thread returned every program that it executes."""
    listener = sandbox.start()
    if listener is None:
        return None
    gate = threading.Thread(target=notify.let_all_go_on, args=(listener,), daemon=True)
    gate.start()
    return gate


class FirewallError(Exception):
    """The firewall raised; the text is its traceback."""


def _be_firewall(root: bool, act: Callable[[], Any], writer: int) -> None:
    try:
        if IS_ROOT and not root:
            become_user()
        value = act()
        answer = ["result", value.__dict__] if isinstance(value, Result) else ["value", value]
    except BaseException:
        answer = ["error", traceback.format_exc()]
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


def become_user() -> None:
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    # A process that changed its user is hidden from itself until it executes something.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)


def _supervise(wanted: SandboxSpec, serve: Serve | None) -> Result:
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.close(writer)
    sandbox = Sandbox.launch(wanted)
    try:
        start(sandbox)
        served = serve(sandbox) if serve else None
        output, status = _drain(sandbox, reader)
    finally:
        sandbox.close()
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    while chunk := os.read(reader, 65536):
        output += chunk
    return Result(status, output.decode(errors="replace"), served)


def _drain(sandbox: Sandbox, reader: int) -> tuple[bytes, int]:
    output = b""
    while (status := sandbox.poll()) is None:
        ready, _, _ = select.select([reader, sandbox.fileno()], [], [], PATIENCE)
        assert ready, f"the agent hangs; so far it wrote {output!r}"
        if reader in ready:
            output += os.read(reader, 65536)
    return output, status


def kill_quietly(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
