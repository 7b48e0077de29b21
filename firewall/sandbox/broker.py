"""The first process of a sandbox: starts the agent, makes sockets on request, reaps, reports.

It is PID 1 of its PID namespace, so that when it dies, everything inside dies with it; and it dies
when the firewall does. It keeps its capabilities in the sandbox's own namespaces, and the agent
can neither signal nor trace it.
"""

import errno
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from firewall.frozen import frozen
from firewall.sandbox import channel, linux, mounts, network, privileges
from firewall.sandbox.execgate import notify

_CANNOT_RUN, _NOT_FOUND = 126, 127
_NEWS = 3
"""The one descriptor that the agent's process keeps until it is the agent."""


@frozen
class Program:
    """What to start, and how the caller left its signals and file mode mask.

    `execute_from` names the folders below which programs may be executed; none means any.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    umask: int
    hangup_ignored: bool
    execute_from: tuple[str, ...] = ()


class Broker:
    """Serves the firewall's requests for as long as the firewall is there."""

    def __init__(self, program: Program, requests: socket.socket, news: socket.socket) -> None:
        self._program = program
        self._requests = requests
        self._news = news
        self._agent = 0
        self.step = ""

    def prepare(self, view: mounts.View) -> None:
        """Set up the namespaces and send the listeners to the firewall.

        Raises OSError; `step` then says what could not be done.
        """
        self.step = "set up its network"
        sockets = network.configure()
        self.step = "set up its file system"
        tools = mounts.build(view)
        self.step = f"start in {self._program.directory}"
        os.chdir(self._program.directory)
        exits = (sockets.tcp, sockets.udp, sockets.diag, tools)
        namespace = os.stat("/proc/self/ns/net").st_ino
        handles = tuple(each.fileno() for each in exits)
        channel.send(self._news, "ready", namespace, fds=handles)
        for each in exits:
            each.close()

    def serve(self) -> None:
        """Handle requests and deaths until the firewall is gone."""
        awake, wake = socket.socketpair()
        wake.setblocking(False)
        awake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self._requests, select.POLLIN)
        poller.register(awake, select.POLLIN)
        while True:
            for handle, _ in poller.poll():
                if handle == awake.fileno():
                    awake.recv(4096)
                    self._reap()
                else:
                    self._answer()

    def _answer(self) -> None:
        request, _ = channel.receive(self._requests)
        match request:
            case ["start"]:
                self._agent = self._start()
            case ["signal", number] if self._agent:
                os.kill(self._agent, number)
            case ["mask", path]:
                mounts.mask((path,))
            case ["udp", question, host, port, family]:
                self._open(question, lambda: network.open_udp(host, port, family))
            case ["diag", question]:
                self._open(question, network.open_diag)

    def _open(self, question: int, make: Callable[[], socket.socket]) -> None:
        try:
            with make() as made:
                channel.send(self._requests, "made", question, fds=(made.fileno(),))
        except OSError as error:
            channel.send(self._requests, "failed", question, error.errno, str(error))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._agent:
                self._report(status)

    def _report(self, status: int) -> None:
        if os.WIFSTOPPED(status):
            channel.send(self._news, "stopped")
        elif os.WIFCONTINUED(status):
            channel.send(self._news, "continued")
        else:
            self._agent = 0
            channel.send(self._news, "exit", _shell_status(status))

    def _start(self) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                _become_agent(self._program, self._news)
            finally:
                os._exit(_CANNOT_RUN)
        return pid


def _shell_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become_agent(program: Program, news: socket.socket) -> None:
    """Give up everything and execute the program; returns only when that fails.

    From the exec gate's making on the firewall judges what is executed, this program first.
    """
    try:
        signal.set_wakeup_fd(-1)
        os.umask(program.umask)
        os.dup2(news.fileno(), _NEWS)
        linux.close_from(_NEWS + 1)
        privileges.default_signals(keep_ignored=program.hangup_ignored)
        privileges.renounce(program.execute_from)
        _open_exec_gate()
    except BaseException as error:
        _complain(f"the sandbox could not be closed, so nothing was started: {error}")
        os._exit(_CANNOT_RUN)
    try:
        os.execvpe(program.argv[0], program.argv, dict(program.environment))  # noqa: S606
    except OSError as error:
        name, path = program.argv[0], program.environment.get("PATH")
        if isinstance(error, FileNotFoundError) or shutil.which(name, os.F_OK, path) is None:
            # A folder of the PATH that this user may not enter makes execvp say "denied" instead.
            _complain(f"{name}: command not found")
            os._exit(_NOT_FOUND)
        _complain(f"{name}: {error.strerror}")


def _open_exec_gate() -> None:
    """Send the firewall the descriptor that tells of every execve from now on."""
    try:
        listener = notify.install()
    except OSError as error:
        reason = "a supervisor of system calls is there already, as in some container runtimes"
        raise OSError(f"{reason if error.errno == errno.EBUSY else error} (exec gate)") from error
    with socket.socket(fileno=_NEWS) as news:
        channel.send(news, "listening", fds=(listener,))
    os.close(listener)
    # The firewall reads from this process's memory what it executes, and holds no secret here.
    linux.prctl(linux.PR_SET_DUMPABLE, 1)


def _complain(text: str) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"firewall: {text}\n".encode())
