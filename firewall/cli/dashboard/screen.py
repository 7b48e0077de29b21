"""The drawing that all clients look at: each waits until there is another than the one it saw."""

import threading
from collections.abc import Mapping
from typing import NamedTuple


class Picture(NamedTuple):
    """The parts of the page by their ids, and the number of the drawing."""

    number: int
    frames: Mapping[str, str]


class Screen:
    """Holds the newest drawing only, so that a slow client costs nothing and misses nothing."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._picture = Picture(0, {})
        self._closed = False

    def show(self, frames: Mapping[str, str]) -> None:
        """Replace the drawing."""
        with self._changed:
            self._picture = Picture(self._picture.number + 1, frames)
            self._changed.notify_all()

    def look(self, seen: int, seconds: float) -> Picture | None:
        """A drawing after the one `seen`, the same again after `seconds`, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._picture.number > seen, seconds)
            return None if self._closed else self._picture

    def close(self) -> None:
        """Let all who wait go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
