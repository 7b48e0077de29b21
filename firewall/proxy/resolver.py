"""Real names to real addresses, off the gate's thread.

Only names whose connection the policy already allows are ever asked for. Answers are kept for a few
seconds, so that a burst of connections asks once.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

type Resolved = Callable[[Sequence[str], str], None]
"""Called with the addresses as text, in the order to try, or with none and the reason."""

KEPT_SECONDS = 5.0
KEPT_NAMES = 4096
THREADS = 8
WAITING_NAMES = 1024
"""An agent may ask for any number of names below an allowed wildcard."""


class Resolver:
    """`getaddrinfo` on helper threads. `pinned` names come from the policy and are never asked."""

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        self._post = post
        self.pinned: Mapping[str, str] = {}
        self._kept: dict[str, tuple[float, Sequence[str]]] = {}
        self._waiting: dict[str, list[Resolved]] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def resolve(self, name: str, done: Resolved) -> None:
        """Find the addresses of a name; on the loop's thread only. `done` runs there too."""
        known = self._known(name)
        if known:
            done(known, "")
        elif name in self._waiting:
            self._waiting[name].append(done)
        elif len(self._waiting) >= WAITING_NAMES:
            done([], f"the name {name} cannot be resolved: too many names wait for an answer")
        else:
            self._waiting[name] = [done]
            self._ask(name)

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def _known(self, name: str) -> Sequence[str]:
        if literal(name):
            return [name]
        if name in self.pinned:
            return [self.pinned[name]]
        until, addresses = self._kept.get(name, (0.0, ()))
        return addresses if time.monotonic() < until else ()

    def _ask(self, name: str) -> None:
        if len(self._threads) < min(THREADS, len(self._waiting)):
            thread = threading.Thread(target=self._work, name="resolver", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._queue.put(name)

    def _work(self) -> None:
        while (name := self._queue.get()) is not None:
            addresses, reason = lookup(name)
            self._post(partial(self._answer, name, addresses, reason))

    def _answer(self, name: str, addresses: Sequence[str], reason: str) -> None:
        if addresses:
            if len(self._kept) >= KEPT_NAMES:
                self._kept.clear()
            self._kept[name] = (time.monotonic() + KEPT_SECONDS, addresses)
        for done in self._waiting.pop(name, []):
            done(addresses, reason)


def lookup(name: str) -> tuple[Sequence[str], str]:
    """Ask the host's own resolver: the addresses without doubles, or none and the reason."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        return [], f"the name {name} cannot be resolved: {error}"
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers)), ""


@lru_cache(maxsize=1024)
def literal(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
