"""What moves the dashboard: one thread reads the log on, another verifies it again and again."""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from firewall.audit import Follower, Key, heads, verify
from firewall.audit.filter import parse
from firewall.cli import evidence
from firewall.cli.dashboard.board import ATTEMPTS, Board
from firewall.cli.dashboard.screen import Screen
from firewall.cli.markup import Element, element
from firewall.cli.query import open_index

DRAW_SECONDS = 0.3
VERIFY_SECONDS = 15.0
VERIFY_SHARE = 10
"""Verification waits so many times as long as it took, so that it takes a tenth of a core."""

type Record = Mapping[str, Any]


class Feed:
    """Keeps a screen up to date with a log until `close`. Raises OSError where there is none."""

    def __init__(self, directory: Path, key: Key | None, screen: Screen) -> None:
        self._directory = directory
        self._key = key
        self._screen = screen
        self._seen = heads(directory)
        self._ended = threading.Event()
        self._verified: Element = _unverified("it is being verified")
        self._board = Board(_now(), self._verified)
        self._board.remember(_newest(directory, self._seen))
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._read, "dashboard log"), (self._verify, "dashboard verify"))
        ]

    def start(self) -> None:
        """Show what was recorded before, and begin to read on and to verify."""
        self._screen.show(self._board.frames())
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop reading; a verification that runs is not waited for."""
        self._ended.set()
        self._threads[0].join()

    def _read(self) -> None:
        follower = Follower(self._directory, self._seen)
        while not self._ended.wait(DRAW_SECONDS):
            try:
                changed = self._take(follower)
            except OSError as error:
                follower.close()
                follower, changed = Follower(self._directory, self._seen), True
                self._board.trouble = f"the log cannot be read: {error}"
            if changed:
                self._screen.show(self._board.frames())
        follower.close()

    def _take(self, follower: Follower) -> bool:
        """Take what there is more; whether that changes the page."""
        before = (self._board.trouble, self._board.verification)
        count = 0
        for count, record in enumerate(follower.more(), 1):  # noqa: B007 - counted for after
            self._seen[str(record.get("chain"))] = record.get("seq", 0)
            self._board.take(record)
        self._board.trouble, self._board.verification = "", self._verified
        return count > 0 or before != ("", self._verified)

    def _verify(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            start = time.monotonic()
            try:
                self._verified = evidence.verification(verify(self._directory, self._key), _now())
            except OSError as error:
                self._verified = _unverified(f"it cannot be read: {error}")
            pause = max(VERIFY_SECONDS, VERIFY_SHARE * (time.monotonic() - start))


def _newest(directory: Path, known: Mapping[str, int]) -> Sequence[Record]:
    """What the board begins with: of the records up to those `known`, by time."""
    terms = ["verdict=deny", *(f"kind={each}" for each in (*evidence.ALERT_KINDS, "gpu-after"))]
    with open_index(directory) as index:
        found = [each for term in terms for each in index.search(parse([term]), limit=ATTEMPTS)]
    old = [each for each in found if each["seq"] <= known.get(str(each.get("chain")), 0)]
    return sorted(old, key=lambda each: str(each.get("time")))


def _unverified(why: str) -> Element:
    heading = element("h2", "The log is ", element("span", "not verified", class_="bad"))
    return element("section", heading, element("p", why), id="verification")


def _now() -> str:
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}"
