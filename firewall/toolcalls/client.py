"""Ask the tool-call service on its Unix socket: POST /v1/tool-calls, JSON over HTTP/1.1."""

import http.client
import json
import socket
import time
from collections.abc import Buffer
from dataclasses import asdict
from typing import Any

from firewall.frozen import frozen
from firewall.toolcalls.calls import Call
from firewall.toolcalls.places import START, socket_path

REPLY_LIMIT = 1 << 20
"""Bytes of an answer; the service's are a few lines."""


@frozen
class Answer:
    """What the service says of a call: "allow", "deny" or "ask", and `text` for the agent."""

    action: str
    rule: str = ""
    reason: str = ""
    remedy: str = ""
    text: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the call may run."""
        return self.action == "allow"


def refusal(point: str, error: object) -> Answer:
    """The deny that stands for whatever failed."""
    reason = f"the tool-call service did not judge this: {error}"
    rule = f"fail-closed.{point}"
    return Answer("deny", rule, reason, START, f"Blocked by the firewall: {reason}\n{START}")


def check(
    call: Call, path: str | None = None, *, wait: bool = False, timeout: float = 30.0
) -> Answer:
    """The service's answer, within `timeout` seconds; a deny where there is none. Never raises."""
    try:
        return answer_of(_post(call, path or socket_path(), wait, timeout))
    except Exception as error:
        return refusal("tool-calls.client", repr(error))


def fields_of(call: Call) -> dict[str, Any]:
    """A call as the service reads it."""
    fields = {**asdict(call), "id": call.call_id}
    del fields["call_id"]
    return fields


class _Hurried(socket.socket):
    """Has time `until` then for all that it reads: a time-out alone begins anew at each byte."""

    until = 0.0

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(max(self.until - time.monotonic(), 0.001))
        return super().recv_into(buffer, nbytes, flags)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("firewall")
        self._path = path
        self._seconds = timeout

    def connect(self) -> None:
        self.sock = link = _Hurried(socket.AF_UNIX)
        link.until = time.monotonic() + self._seconds
        link.settimeout(self._seconds)
        link.connect(self._path)


def _post(call: Call, path: str, wait: bool, timeout: float) -> Any:
    connection = _Connection(path, timeout)
    try:
        target = "/v1/tool-calls" + ("?wait=1" if wait else "")
        headers = {"Content-Type": "application/json"}
        connection.request("POST", target, json.dumps(fields_of(call)), headers)
        reply = connection.getresponse()
        if reply.status != 200:
            raise OSError(f"HTTP status {reply.status}: {reply.read(REPLY_LIMIT)!r}")
        return json.loads(reply.read(REPLY_LIMIT))
    finally:
        connection.close()


def answer_of(fields: Any) -> Answer:
    """The answer in the service's JSON. Raises where it is none."""
    names = ("rule", "reason", "remedy", "text")
    action = fields["action"]
    if action not in ("allow", "deny", "ask"):
        raise ValueError(f"unknown action {action!r}")
    return Answer(action, *(str(fields.get(name) or "") for name in names))
