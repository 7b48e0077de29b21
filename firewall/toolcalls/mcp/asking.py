"""One question to the tool-call service: a POST and its answer (RFC 9112), without I/O."""

import json
from collections.abc import Mapping
from typing import Any

import h11

from firewall.toolcalls.client import REPLY_LIMIT


class Exchange:
    """`request` is to be sent; `feed` takes what comes back, b"" at its end, until `done`.

    `feed` and `document` raise for an answer that is none.
    """

    def __init__(self, target: str, fields: Mapping[str, Any]) -> None:
        body = json.dumps(fields).encode()
        self._http = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", "firewall"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        head = h11.Request(method="POST", target=target, headers=headers)
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        self.request = b"".join(self._http.send(event) or b"" for event in events)
        self.done = False
        self._status = 0
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        self._http.receive_data(data)
        while not self.done and (event := self._http.next_event()) is not h11.NEED_DATA:
            self._take(event)

    def document(self) -> Any:
        """The answer's JSON."""
        if self._status != 200:
            raise OSError(f"HTTP status {self._status}: {bytes(self._body[:200])!r}")
        return json.loads(self._body)

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Response):
            self._status = event.status_code
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > REPLY_LIMIT:
                raise OSError(f"an answer of more than {REPLY_LIMIT} bytes")
        elif isinstance(event, h11.EndOfMessage):
            self.done = True
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("it hung up")
