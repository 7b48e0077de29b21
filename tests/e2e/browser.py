"""A headless Chromium, driven by its DevTools protocol.

chromedevtools.github.io/devtools-protocol: JSON over a WebSocket, a command and its result by id.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.waiting import PATIENCE, eventually

_FLAGS = ("--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0")


class Page:
    """One tab. Collects the addresses that it asks for, and what goes wrong in it."""

    def __init__(self, url: str) -> None:
        self._socket = connect(url, max_size=None, open_timeout=PATIENCE)
        self._number = 0
        self.asked: list[str] = []
        self.troubles: list[str] = []
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.command(f"{domain}.enable")

    def close(self) -> None:
        self._socket.close()

    def command(self, method: str, **parameters: Any) -> Any:
        """The result of a command; what happened meanwhile is noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message["method"], message["params"])

    def evaluate(self, expression: str) -> Any:
        """The value of some JavaScript in the page."""
        told = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self.command("Page.navigate", url=url)
        eventually(lambda: self.evaluate("document.readyState") == "complete")

    def text(self) -> str:
        """What a person can read."""
        return str(self.evaluate("document.body.innerText"))

    def _note(self, method: str, told: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif method == "Log.entryAdded":
            self.troubles.append(told["entry"]["text"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.troubles.append(json.dumps(told))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A tab of a Chromium whose profile lies in the folder."""
    sandbox = () if os.getuid() else ("--no-sandbox",)
    process = subprocess.Popen(
        ["chromium", *_FLAGS, *sandbox, f"--user-data-dir={folder}", "about:blank"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        try:
            page = Page(_address(process))
            yield page
            page.command("Browser.close")
            page.close()
        finally:
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    """The address of its first tab, from what it tells on stderr."""
    from urllib.request import urlopen

    assert process.stderr is not None
    found = next(m for line in process.stderr if (m := re.search(r"ws://([^/]+)/", line)))
    with urlopen(f"http://{found[1]}/json/list", timeout=PATIENCE) as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
