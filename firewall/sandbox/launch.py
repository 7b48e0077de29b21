"""The firewall's side of a sandbox: make it, start the agent, learn of its end, clear it away."""

import os
import select
import signal
import socket
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from firewall.sandbox import channel, exposed, mounts, namespaces, procfs, spec, support, trust
from firewall.sandbox.broker import Broker, Program
from firewall.sandbox.environment import agent_environment, moved_home
from firewall.sandbox.errors import SandboxError
from firewall.sandbox.privileges import Identity
from firewall.sandbox.spec import SandboxSpec

_PATIENCE_S = 10.0
_KILLED = 128 + signal.SIGKILL


class Sandbox:
    """A running sandbox. `pid` is its first process and `namespace` its network's inode.

    `tcp` and `udp` are the listeners that everything inside ends up in (nonblocking): an accepted
    socket's own address is the destination the agent asked for. `diag` is a NETLINK_SOCK_DIAG
    socket of the sandbox's network, `tools` listens for questions about tool calls.
    """

    def __init__(
        self, wanted: SandboxSpec, keeper: int, requests: socket.socket, news: socket.socket
    ) -> None:
        self._spec = wanted
        self._keeper = keeper
        self._requests = requests
        self._news = news
        self._status: int | None = None
        self.stopped = False
        self._lock = threading.Lock()
        self._asked = 0
        self._closed = False
        self._handle = -1
        self.pid = 0
        self.namespace = 0
        self.tcp: socket.socket
        self.udp: socket.socket
        self.diag: socket.socket
        self.tools: socket.socket

    @classmethod
    def launch(cls, wanted: SandboxSpec, meanwhile: Callable[[], None] = lambda: None) -> "Sandbox":
        """Make the namespaces and the sockets; the agent waits for `start`.

        Blocks for some tens of milliseconds, in which it calls `meanwhile`. To be called from a
        thread that lives as long as the sandbox (its end kills the sandbox), and before others are
        started. Raises SandboxError.
        """
        spec.check(wanted)
        identity = spec.identity(wanted)
        program, view = _plan(wanted, identity)
        requests, inner_requests = channel.pair()
        news, inner_news = channel.pair()
        keeper = namespaces.fork(
            lambda: namespaces.keep(
                Broker(program, inner_requests, inner_news),
                view,
                identity,
                inner_requests,
                inner_news,
            )
        )
        inner_requests.close()
        inner_news.close()
        sandbox = cls(wanted, keeper, requests, news)
        try:
            sandbox._establish(identity, meanwhile)
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def start(self) -> int | None:
        """Let the agent run. Returns the descriptor that tells of every program it executes, which
        waits until there is an answer (`ExecGate`); None where the agent ended before.
        """
        self._tell("start")
        while self._status is None:
            message, fds = self._hear()
            if message[0] == "listening":
                return fds[0]
        return None

    def signal(self, number: int) -> None:
        """Send a signal to the agent, if it still runs."""
        self._tell("signal", int(number))

    def refresh(self) -> None:
        """Hide the sockets that host programs have made since the launch; to be called often."""
        for path in exposed.later_sockets(self._spec.directory, self.pid):
            self._tell("mask", path)

    def fileno(self) -> int:
        """A descriptor that is readable when `poll` has news."""
        return self._news.fileno()

    def poll(self) -> int | None:
        """The agent's exit status as a shell reports it, or None while it runs. Never blocks.

        `stopped` says, as of the last call, whether the agent waits to be continued.
        """
        while self._status is None and select.select([self._news], [], [], 0)[0]:
            self._hear()
        return self._status

    def _hear(self) -> tuple[list[Any], list[int]]:
        """The broker's next piece of news, and what it means for the agent."""
        try:
            message, fds = channel.receive(self._news)
        except (EOFError, TimeoutError):
            self._status = _KILLED
            return ["gone"], []
        if message[0] == "exit":
            self._status = int(message[1])
        self.stopped = message[0] == "stopped"
        return message, fds

    def stands_still(self) -> bool:
        """Whether the agent is stopped now. The news that it was continued may come later."""
        parents = procfs.family(self.pid)
        return any(_is_stopped(pid) for pid, parent in parents.items() if parent == self.pid)

    def open_udp(self, address: tuple[str, int], family: int) -> socket.socket:
        """A socket that answers inside as `address`, the destination of the agent's datagram.

        Raises OSError when the address is taken or the sandbox is gone.
        """
        return self._made("udp", *address, int(family))

    def open_diag(self) -> socket.socket:
        """Another socket like `diag`, for another process. Raises OSError."""
        return self._made("diag")

    def _made(self, what: str, *how: object) -> socket.socket:
        with self._lock:
            self._asked += 1
            channel.send(self._requests, what, self._asked, *how)
            try:
                (kind, _, *rest), fds = self._answer()
            except EOFError as error:
                raise ConnectionResetError("the sandbox is gone") from error
        if kind != "made":
            raise OSError(*rest)
        return socket.socket(fileno=fds[0])

    def _answer(self) -> tuple[list[Any], list[int]]:
        """The answer to the last question; one that came too late for an earlier one is dropped."""
        while True:
            answer, fds = channel.receive(self._requests)
            if answer[1] == self._asked:
                return answer, fds
            for handle in fds:
                os.close(handle)

    def close(self) -> None:
        """Kill everything inside and wait until it is gone; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
        self._requests.close()
        with suppress(ChildProcessError):
            os.waitpid(self._keeper, 0)
        self._news.close()
        for name in ("tcp", "udp", "diag", "tools"):
            if hasattr(self, name):
                getattr(self, name).close()
        _take_terminal_back()

    def _tell(self, *message: object) -> None:
        with suppress(OSError):
            channel.send(self._requests, *message)

    def _establish(self, identity: Identity, meanwhile: Callable[[], None]) -> None:
        self._news.settimeout(_PATIENCE_S)
        self._await("unshared")
        step = f"map user {identity.uid} into its namespace"
        try:
            namespaces.map_user(self._keeper, identity)
        except OSError as error:
            raise SandboxError(support.explain(step, error.errno, str(error))) from error
        self._tell("mapped")
        (self.pid,), _ = self._await("broker")
        self._handle = os.pidfd_open(self.pid)
        self._tell("prepare")
        meanwhile()
        (self.namespace,), fds = self._await("ready")
        self.tcp, self.udp, self.diag, self.tools = (socket.socket(fileno=fd) for fd in fds)
        self._requests.settimeout(_PATIENCE_S)

    def _await(self, kind: str) -> tuple[list[Any], list[int]]:
        try:
            (found, *rest), fds = channel.receive(self._news)
        except (EOFError, TimeoutError) as error:
            raise SandboxError("the sandbox's first process died while it was made") from error
        if found == "failed":
            raise SandboxError(support.explain(*rest))
        if found != kind:
            raise SandboxError(f"the sandbox said {found} where {kind} was due")
        return rest, fds


def _plan(wanted: SandboxSpec, identity: Identity) -> tuple[Program, mounts.View]:
    """All that must be read from the host before its namespaces are left."""
    umask = os.umask(0o022)
    os.umask(umask)
    environment = wanted.environment
    if identity.change:
        environment = moved_home(environment, identity.uid, mounts.HOME)
    program = Program(
        argv=wanted.argv,
        environment=agent_environment(environment, mounts.BUNDLE, mounts.TOOLS),
        directory=wanted.directory,
        umask=umask,
        hangup_ignored=signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
        execute_from=wanted.execute_from,
    )
    try:
        trusted = trust.plan(wanted.ca_pem, wanted.environment, wanted.ssh_ca)
    except ValueError as error:
        raise SandboxError(f"the firewall's CA cannot be trusted inside: {error}") from error
    view = mounts.View(
        directory=wanted.directory,
        hide=wanted.hide,
        read_only=wanted.read_only,
        sockets=exposed.host_sockets(wanted.environment, wanted.directory),
        trust=trusted,
        terminal=_terminal(),
        root=wanted.keep_root,
    )
    return program, view


def _is_stopped(pid: int) -> bool:
    with suppress(OSError):
        return procfs.state(pid)[0] == "T"
    return False


def _terminal() -> str | None:
    for handle in range(3):
        with suppress(OSError):
            return os.ttyname(handle)
    return None


def _take_terminal_back() -> None:
    """A shell inside made itself the foreground; without this the caller could not read again."""
    with suppress(OSError, termios.error):
        termios.tcflow(0, termios.TCOON)
    with suppress(OSError):
        if os.tcgetpgrp(0) != os.getpgrp():
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            os.tcsetpgrp(0, os.getpgrp())
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
