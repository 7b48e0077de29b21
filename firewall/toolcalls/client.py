"""Asks the tool-call service over its Unix socket. Whatever goes wrong is a deny."""

import json
import socket
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.places import START, socket_path

SECONDS = 30.0
PERSON_SECONDS = 340.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service decided; `text` is what to tell the agent."""

    action: str
    rule: str
    reason: str
    remedy: str
    text: str

    @property
    def allowed(self) -> bool:
        return self.action == "allow"


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("firewall", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def check(
    call: Call, path: str | None = None, *, wait: bool = False, seconds: float | None = None
) -> Answer:
    """Have a call judged. `wait` holds it until a person has answered. Never raises."""
    patience = seconds or (PERSON_SECONDS if wait else SECONDS)
    try:
        return _ask(call, path or socket_path(), patience, wait=wait)
    except Exception as error:
        return unreachable(f"the firewall could not be asked: {error}")


def unreachable(reason: str) -> Answer:
    """The answer where there is none."""
    text = f"Blocked by the firewall: {reason}; {START}"
    return Answer("deny", "fail-closed.toolcalls", reason, START, text)


def _ask(call: Call, path: str, seconds: float, *, wait: bool) -> Answer:
    body: dict[str, Any] = asdict(call)
    body["id"] = body.pop("call_id")
    connection = _UnixConnection(path, seconds)
    try:
        data = json.dumps(body, default=str).encode()
        connection.request("POST", "/v1/tool-calls" + ("?wait=1" if wait else ""), data)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(answer.get("error", f"status {response.status}"))
    return Answer(**{name: str(answer[name]) for name in Answer.__slots__})
