"""A connection's first bytes: peeked at, never consumed, until they say what is spoken."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

from firewall import judge
from firewall.protocols import Identity, identify
from firewall.proxy.loop import EDGE, HANGUP, READ, Loop, Timer

PEEK_SIZE = 1 << 16
SILENCE_SECONDS = 1.0
"""After this long a client that has said too little, or nothing, may be waiting for the server."""
IDENTIFY_SECONDS = 10.0
EAGER_LOOKS = 16
LOOK_SECONDS = 0.05
"""A client that drips its bytes is looked at at once so many times, and then this often."""


class Opening:
    """Watches a new connection and calls `identified` once.

    `allowed` says whether a flow that speaks so may go on; `enforced` makes the context that an
    enforcement point of the flow runs in.
    """

    __slots__ = (
        "_again", "_allowed", "_client", "_enforced", "_identified", "_looks", "_loop", "_over",
        "_timer",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        allowed: Callable[[Identity], bool],
        identified: Callable[[Identity], None],
        enforced: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._loop = loop
        self._client = client
        self._allowed = allowed
        self._identified = identified
        self._enforced = enforced
        self._looks = 0
        self._timer: Timer | None = None
        self._again: Timer | None = None
        self._over = False

    def start(self) -> None:
        self._loop.watch(self._client.fileno(), READ | EDGE, self._readable)
        self._timer = self._loop.after(SILENCE_SECONDS, self._silent)

    def stop(self) -> None:
        """Look no more. The loop goes on watching the connection, for whoever takes it over."""
        if not self._over:
            self._over = True
            for timer in (self._timer, self._again):
                if timer is not None:
                    timer.cancel()

    def conclude(self) -> None:
        """Identify by what has been seen: nothing more will come, or not in time."""
        with self._enforced("flow.deadline"):
            judge.probe("flow.deadline")
            self._look(final=True)

    def _readable(self, events: int) -> None:
        if self._over:
            return
        with self._enforced("flow.identify"):
            judge.probe("flow.identify")
            self._looks += 1
            if self._looks <= EAGER_LOOKS or events & HANGUP:
                self._look(final=bool(events & HANGUP))
            elif self._again is None:
                self._again = self._loop.after(LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        with self._enforced("flow.identify"):
            self._again = None
            self._look(final=False)

    def _silent(self) -> None:
        self._timer = self._loop.after(IDENTIFY_SECONDS - SILENCE_SECONDS, self.conclude)
        with self._enforced("flow.silence"):
            judge.probe("flow.silence")
            identity = identify(self._peek(), final=True)
            if identity is not None and self._allowed(identity):
                self._settle(identity)

    def _look(self, *, final: bool) -> None:
        data = self._peek()
        identity = identify(data, final=final or len(data) >= PEEK_SIZE)
        if identity is not None and not self._over:
            self._settle(identity)

    def _settle(self, identity: Identity) -> None:
        self.stop()
        self._identified(identity)

    def _peek(self) -> bytes:
        """What there is; nothing also of a client that is gone, which is judged all the same."""
        try:
            return self._client.recv(PEEK_SIZE, socket.MSG_PEEK)
        except (BlockingIOError, ConnectionError):
            return b""
