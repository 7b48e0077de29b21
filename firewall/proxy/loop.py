"""The gate's event loop: epoll, timers, and calls from other threads. Nothing else.

Plain epoll relays twice as many connections a second as asyncio streams do, and lets the gate peek
at a socket without consuming its bytes.
"""

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

type Handler = Callable[[int], None]

READ = select.EPOLLIN | select.EPOLLRDHUP
WRITE = select.EPOLLOUT
EDGE = select.EPOLLET
FAILED = select.EPOLLHUP | select.EPOLLERR
HANGUP = FAILED | select.EPOLLRDHUP


MANY = 256
"""Timers from which on the cancelled ones are dropped."""


class Timer:
    """A call that is due later and can be cancelled."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """One thread's epoll loop. Others may call only `post`, `gather` and `stop`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._many = MANY
        self._order = itertools.count()
        self._posted: deque[Callable[[], None]] = deque()
        self._gathered: dict[Callable[[], None], None] = {}
        self._thread = 0
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._running = False
        self._asleep = False
        self.watch(self._wakeup, select.EPOLLIN, self._woken)

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler(ready events)` whenever the descriptor is ready, and no earlier handler."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def take_over(self, fd: int, handler: Handler) -> None:
        """Call another handler for the same events. What an edge has told already is not told
        again: look at the descriptor first."""
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; must be called before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        if len(self._timers) >= self._many:
            self._drop_cancelled()
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def _drop_cancelled(self) -> None:
        """Most are cancelled long before they are due: without this they would stay until then."""
        self._timers = [each for each in self._timers if each[2].call is not None]
        heapq.heapify(self._timers)
        self._many = max(MANY, 2 * len(self._timers))

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` on the loop's thread, soon."""
        self._posted.append(call)
        if not self._asleep:
            return  # it looks again before it sleeps, or another call is about to wake it
        self._asleep = False
        try:
            os.eventfd_write(self._wakeup, 1)
        except OSError:
            logger.debug("posted to a loop that is closed")

    def gather(self, call: Callable[[], None]) -> bool:
        """Run `call` once when this turn of the loop ends, however often it is asked for in it.

        False, and nothing is run, where the caller is not on the loop's thread.
        """
        if threading.get_ident() != self._thread:
            return False
        self._gathered[call] = None
        return True

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        self._thread = threading.get_ident()
        while self._running:
            for fd, handler, events in self._ready():
                # A handler before this one may have closed the descriptor, and its number may be
                # another's by now, to whom these events mean nothing.
                if self._handlers.get(fd) is handler:
                    self._call(handler, events)
            self._run_posted()
            self._run_timers()
            self._run_gathered()
        self._thread = 0

    def stop(self) -> None:
        self.post(self._halt)

    def close(self) -> None:
        self._handlers.clear()
        self._epoll.close()
        os.close(self._wakeup)

    def _halt(self) -> None:
        self._running = False

    def _ready(self) -> list[tuple[int, Handler, int]]:
        timeout = -1.0
        if self._timers:
            timeout = max(0.0, self._timers[0][0] - time.monotonic())
        self._asleep = True
        waits = timeout if not (self._posted or self._gathered) else 0.0
        ready = self._epoll.poll(waits, 512)
        self._asleep = False
        return [(fd, self._handlers[fd], events) for fd, events in ready if fd in self._handlers]

    def _woken(self, events: int) -> None:
        os.eventfd_read(self._wakeup)

    def _run_posted(self) -> None:
        """What is posted meanwhile has its turn after the descriptors that are ready then."""
        for _ in range(len(self._posted)):
            self._call(self._posted.popleft())

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._call(timer.call)

    def _run_gathered(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for call in gathered:
            self._call(call)

    def _call(self, call: Callable[..., None], *given: int) -> None:
        """One flow's failure must not end the others; flows fail closed by themselves."""
        try:
            call(*given)
        except Exception:
            logger.exception("a handler of the loop failed")
