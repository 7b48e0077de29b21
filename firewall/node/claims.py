"""What no two sandboxes of a node may have: a name, a network, a number."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from firewall.node.requests import RequestError


class Claims:
    """Names and networks that are taken, from before anything is made until all is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._networks: set[int] = set()
        self._numbers: set[int] = set()

    @contextmanager
    def held(self, name: str, network: int) -> Iterator[None]:
        """Take both; they are free again where the body fails. Raises RequestError."""
        with self._lock:
            if network in self._networks:
                raise RequestError("that network is attached already: see `firewall node status`")
            if name in self._names:
                raise RequestError(f"there is a sandbox {name!r} already; choose another name")
            self._names.add(name)
            self._networks.add(network)
        try:
            yield
        except BaseException:
            self.free(name, network)
            raise

    def free(self, name: str, network: int) -> None:
        with self._lock:
            self._names.discard(name)
            self._networks.discard(network)

    def number(self) -> int:
        """The lowest number that no sandbox has."""
        with self._lock:
            number = min(set(range(len(self._numbers) + 1)) - self._numbers)
            self._numbers.add(number)
            return number

    def give_back(self, number: int) -> None:
        with self._lock:
            self._numbers.discard(number)

    @property
    def none_left(self) -> bool:
        """Whether every number has been given back."""
        return not self._numbers
