"""A terminal as a person uses it: type, and wait for what is shown."""

import os
import re
import select
import time

from tests.waiting import PATIENCE


class Terminal:
    """The keyboard and the screen of a pseudo-terminal, by its main side."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._handle, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait until the pattern is shown, and forget all up to its end."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            left = until - time.monotonic()
            assert left > 0, f"{pattern!r} was not shown: {self.shown!r}"
            if select.select([self._handle], [], [], left)[0]:
                self.shown += os.read(self._handle, 65536).decode(errors="replace")
        self.shown = self.shown[found.end() :]
        return found[0]
