"""The gate's end of a process that hangs off it: the depth process, and each worker.

Such a process dies with the gate and is replaced when it dies. Its death takes its own flows along
and opens nothing: their sockets close with it.
"""

import contextlib
import logging
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import firewall
from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.proxy.handover import Setup
from firewall.proxy.loop import READ, WRITE, Loop, Timer

logger = logging.getLogger(__name__)

DEEDS = 8192
"""Deeds that may wait for a process; the oldest are forgotten."""
RETIRE_SECONDS = 2.0
"""How long a retired process may take to write its records before it is killed."""
ENDING_SECONDS = 0.05
"""How long a process may take to be gone whose channel is closed."""

type Report = Callable[[str, dict[str, Any]], None]


class Link:
    """Starts the module `program`, tells it what it must know and passes its reports on.

    `what` names it in the firewall's own log.
    `setup` makes what a process is told first, and again after `update`. `report` gets each message
    of it, "retired" when it has ended as it was told to, and "died" when it has ended otherwise.
    """

    program = ""
    what = ""

    def __init__(self, loop: Loop, setup: Callable[[], Setup], report: Report) -> None:
        self._loop = loop
        self._setup = setup
        self._report = report
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._deeds: deque[Deed] = deque(maxlen=DEEDS)
        self._said: deque[tuple[str, dict[str, Any], tuple[int, ...]]] = deque()
        self._outdated = False
        self._retiring: Timer | None = None

    def update(self) -> None:
        """Tell a running process of a new policy, before anything else that waits."""
        if self._channel is not None:
            self._outdated = True
            self._flush()

    def tell(self, done: tuple[Deed, ...]) -> None:
        """Tell a running process what was done; the next one's setup has it all."""
        if self._channel is not None and self._retiring is None:
            self._deeds.extend(done)
            self._flush()

    def say(self, kind: str, body: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send a message to the process, with descriptors that stay open until it is sent; one that
        has ended waits for none."""
        if self._channel is not None and self._retiring is None:
            self._said.append((kind, body, fds))
            self._flush()

    def retire(self) -> None:
        """End all flows; what is sent later starts another process.

        The process sees its channel end behind what was sent, cuts its flows, writes its records
        and reports what is left to report. The next one waits for that, since both write one chain.
        """
        if self._channel is not None and self._retiring is None:
            self._retiring = self._loop.after(RETIRE_SECONDS, self.kill)
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
            self._loop.change(self._channel.fileno(), READ)

    def kill(self) -> None:
        """End the process at once, and with it its flows."""
        if self._process is not None:
            self._process.kill()

    def finish(self, until: float) -> None:
        """Hear a retired process out where the loop does so no more."""
        poll = select.poll()
        while self._channel is not None and (left := until - time.monotonic()) > 0:
            poll.register(self._channel, select.POLLIN)
            if poll.poll(left * 1000):
                self._ready(READ)

    @property
    def idle(self) -> bool:
        """Whether no process runs."""
        return self._channel is None

    def close(self) -> None:
        self._drop()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            self._process.kill()
            self._process.wait()

    def _flush(self) -> None:
        """Send what waits, the policy first; whatever cannot be sent ends with the process."""
        if self._retiring is not None:
            return
        try:
            channel = self._channel or self._start()
            self._send(channel)
        except OSError:
            self._died()

    def _send(self, channel: socket.socket) -> None:
        try:
            self._send_waiting(channel)
        except BlockingIOError:
            self._loop.change(channel.fileno(), READ | WRITE)
        else:
            self._loop.change(channel.fileno(), READ)

    def _send_waiting(self, channel: socket.socket) -> None:
        if self._outdated:
            handover.send_setup(channel, self._setup())
            self._outdated = False
        if self._deeds:
            handover.send(channel, "deeds", handover.encode_deeds(self._deeds))
            self._deeds.clear()
        while self._said:
            handover.send(channel, *self._said[0])
            self._said.popleft()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = self._launch(theirs)
                self._introduce(ours)
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self._channel = ours
        self._outdated = False
        self._deeds.clear()
        self._said.clear()
        self._loop.watch(ours.fileno(), READ, self._ready)
        return ours

    def _launch(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        """The process that has the other end of the channel from now on. Raises OSError."""
        return launch(self.program, theirs)

    def _introduce(self, channel: socket.socket) -> None:
        """Tell a process that has just been started what it needs."""
        handover.send_setup(channel, self._setup())

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        while self._channel is not None:
            try:
                message = handover.receive(self._channel)
            except BlockingIOError:
                return
            if message is None:
                self._ended()
                return
            self._take(*message)

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        self._report(kind, body)

    def _ended(self) -> None:
        if self._retiring is None:
            self._died()
        else:
            self._retired(self._retiring)

    def _retired(self, deadline: Timer) -> None:
        deadline.cancel()
        self._retiring = None
        self._clear_away()
        self._gone()

    def _gone(self) -> None:
        self._report("retired", {})

    def _died(self) -> None:
        logger.error("%s ended; its flows ended with it", self.what)
        self._clear_away()
        self._report("died", {})

    def _how(self) -> str:
        """How a process ended whose channel has."""
        if self._process is None:
            return "it could not be started"
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(ENDING_SECONDS)
            return f"signal {-status}" if status < 0 else f"exit status {status}"
        return "it has closed its channel"

    def _clear_away(self) -> None:
        self._drop()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _drop(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None


# No module may come from where an agent can write: neither by the environment (-I), nor by
# sitecustomize in a folder that an editable installation adds (-S), nor from beside the package.
_BOOT = """
import sys
sys.path[:] = sys.argv[3:4]
import firewall
sys.path[:] = sys.argv[4:]
from importlib import import_module
import_module(sys.argv[2]).main()
"""


def launch(program: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the module `program`, whose `main` finds its end of the channel in sys.argv[1]."""
    beside = str(Path(firewall.__file__).parents[1])
    told = [str(channel.fileno()), program, beside, *sys.path]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, *told],
        cwd="/",
        pass_fds=(channel.fileno(),),
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
