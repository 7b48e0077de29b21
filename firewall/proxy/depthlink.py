"""The gate's end of the depth process: started when first needed, replaced when it dies.

Its death takes its own flows along and opens nothing: their sockets close with it. A quarantine
ends them that way.
"""

import contextlib
import logging
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import firewall
from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.proxy.handover import Handover, Setup
from firewall.proxy.loop import READ, WRITE, Loop, Timer

logger = logging.getLogger(__name__)

DEEDS = 8192
"""Deeds that may wait for the depth process; the oldest are forgotten."""
BACKLOG = 8192
"""Flows that may wait for the depth process to take them; more are refused by closing them."""
RETIRE_SECONDS = 2.0
"""How long a retired process may take to write its records before it is killed."""


class DepthLink:
    """Hands flows over by descriptor and passes the depth process's reports on."""

    def __init__(
        self, loop: Loop, setup: Callable[[], Setup], report: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._loop = loop
        self._setup = setup
        self._report = report
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._backlog: deque[tuple[Handover, socket.socket]] = deque()
        self._deeds: deque[Deed] = deque(maxlen=DEEDS)
        self._answers: deque[tuple[str, dict[str, Any]]] = deque()
        self._outdated = False
        self._retiring: Timer | None = None

    def give(self, flow: Handover, client: socket.socket) -> bool:
        """Hand a flow over and close our copy of its socket; False when the queue is full."""
        if len(self._backlog) >= BACKLOG:
            return False
        self._backlog.append((flow, client))
        self._flush()
        return True

    def update(self) -> None:
        """Tell a running depth process of a new policy, before any further flow."""
        if self._channel is not None:
            self._outdated = True
            self._flush()

    def tell(self, done: tuple[Deed, ...]) -> None:
        """Tell a running depth process what was done; the next one's setup has it all."""
        if self._channel is not None and self._retiring is None:
            self._deeds.extend(done)
            self._flush()

    def answer(self, kind: str, body: dict[str, Any]) -> None:
        """Answer the depth process; one that has ended waits for none."""
        if self._channel is not None and self._retiring is None:
            self._answers.append((kind, body))
            self._flush()

    def retire(self) -> None:
        """End all flows, also those on their way; the next one starts another process.

        The process sees its channel end behind what was sent, cuts its flows, writes its records
        and reports what is left to report. The next one waits for that, since both write one chain.
        """
        self._drop_backlog()
        if self._channel is not None and self._retiring is None:
            self._retiring = self._loop.after(RETIRE_SECONDS, self._kill)
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
            self._loop.change(self._channel.fileno(), READ)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    @property
    def idle(self) -> bool:
        """Whether no depth process runs."""
        return self._channel is None

    def close(self) -> None:
        self._drop()
        self._drop_backlog()
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
            self._send_waiting(channel)
        except OSError:
            self._died()

    def _send_waiting(self, channel: socket.socket) -> None:
        try:
            if self._outdated:
                handover.send_setup(channel, self._setup())
                self._outdated = False
            if self._deeds:
                handover.send(channel, "deeds", handover.encode_deeds(self._deeds))
                self._deeds.clear()
            while self._answers:
                handover.send(channel, *self._answers[0])
                self._answers.popleft()
            while self._backlog:
                flow, client = self._backlog[0]
                handover.send(channel, "flow", handover.encode(flow), (client.fileno(),))
                self._backlog.popleft()
                client.close()
        except BlockingIOError:
            self._loop.change(channel.fileno(), READ | WRITE)
            return
        self._loop.change(channel.fileno(), READ)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = _launch(theirs)
                handover.send_setup(ours, self._setup())
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self._channel = ours
        self._outdated = False
        self._deeds.clear()
        self._answers.clear()
        self._loop.watch(ours.fileno(), READ, self._ready)
        return ours

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
            self._report(message[0], message[1])

    def _ended(self) -> None:
        if self._retiring is None:
            self._died()
        else:
            self._retired(self._retiring)

    def _retired(self, deadline: Timer) -> None:
        """Flows that came meanwhile go to another process."""
        deadline.cancel()
        self._retiring = None
        self._clear_away()
        self._report("retired", {"waiting": len(self._backlog)})
        if self._backlog:
            self._flush()

    def _died(self) -> None:
        """What waited ends too; the next flow starts another process."""
        logger.error("the depth process ended; its flows ended with it")
        self._drop_backlog()
        self._clear_away()
        self._report("died", {})

    def _clear_away(self) -> None:
        self._drop()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _drop_backlog(self) -> None:
        for _, client in self._backlog:
            client.close()
        self._backlog.clear()

    def _drop(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None


# No module may come from where an agent can write: neither by the environment (-I), nor by
# sitecustomize in a folder that an editable installation adds (-S), nor from beside the package.
_BOOT = """
import sys
sys.path[:] = sys.argv[2:3]
import firewall
sys.path[:] = sys.argv[3:]
from firewall.proxy.depthstart import main
main()
"""


def _launch(channel: socket.socket) -> subprocess.Popen[bytes]:
    beside = str(Path(firewall.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, str(channel.fileno()), beside, *sys.path],
        cwd="/",
        pass_fds=(channel.fileno(),),
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
