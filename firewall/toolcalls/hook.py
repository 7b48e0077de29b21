"""`firewall hook AGENT`: what an agent starts before each tool call.

A thin client of the tool-call service: it hands over what it is given, and does what the answer
says. Every agent here blocks the call on the exit status 2 with a text on the standard error, so
whatever goes wrong ends in that. It is started anew for each call, and the agent waits for it: it
imports only what is built into the interpreter, hence the bare `_socket`, and HTTP by hand.
"""

import _socket
import os
import select
import time

from firewall.toolcalls.places import START, socket_path

OWN_USER = 25
PERSON = 345
AGENTS = {
    "claude-code": OWN_USER,
    "codex": PERSON,
    "gemini": PERSON,
    "cursor": OWN_USER,
    "copilot": OWN_USER,
    "openhands": PERSON,
}
"""Seconds from the hook's start until it refuses, by agent: more where the service holds a call for
a person, because the agent cannot ask its own user. `install` gives each hook a little more."""
BLOCK = 2
BODY_LIMIT = 4 << 20
ANSWER_LIMIT = 1 << 20


def run(agent: str) -> int:
    """Answer a hook: reads stdin, prints, and returns the exit status. Never raises."""
    until = time.monotonic() + AGENTS[agent]
    try:
        status, text = read_answer(_exchange(socket_path(), agent, _given(until), until))
        _write(2 if status == BLOCK else 1, text)
        return status
    except BaseException as error:  # an interrupted hook must not let the tool run either
        _refuse(agent, error)
        return BLOCK


def read_answer(data: bytes) -> tuple[int, bytes]:
    """The exit status and the text of the service's answer (RFC 9112). Raises ValueError for all
    that is not a whole answer of this service."""
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if first.split(" ")[1:2] != ["200"]:
        raise ValueError(f"the service answered {first!r} {body[:500].decode(errors='replace')}")
    if not end or fields.get("content-length") != str(len(body)):
        raise ValueError("the service's answer is cut off")
    status = fields.get("x-hook-exit", "")
    if status not in ("0", "2") or (status == "2" and not body.strip()):
        raise ValueError("this is no answer of the tool-call service")
    return int(status), body


def _given(until: float) -> bytes:
    body = b""
    while chunk := _read(until):
        body += chunk
        if len(body) > BODY_LIMIT:
            raise ValueError(f"the call is larger than {BODY_LIMIT} bytes")
    return body


def _read(until: float) -> bytes:
    if not select.select([0], [], [], _left(until))[0]:
        raise TimeoutError("the agent did not finish telling its call")
    return os.read(0, 1 << 16)


def _exchange(path: str, agent: str, body: bytes, until: float) -> bytes:
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        link.settimeout(_left(until))
        link.connect(path)
        link.sendall(_request(agent, body))
        return _answer(link, until)
    finally:
        link.close()


def _request(agent: str, body: bytes) -> bytes:
    head = f"POST /v1/hooks/{agent} HTTP/1.1\r\nHost: firewall\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _answer(link: _socket.socket, until: float) -> bytes:
    answer = b""
    while chunk := link.recv(1 << 16):
        answer += chunk
        if len(answer) > ANSWER_LIMIT:
            raise ValueError("the service's answer is too large")
        link.settimeout(_left(until))
    return answer


def _left(until: float) -> float:
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError("the tool-call service took too long")
    return left


def _write(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def _refuse(agent: str, error: BaseException) -> None:
    """Block in the words of the agent. Copilot before 1.0.70 hears only its own JSON."""
    why = f"{error}" or type(error).__name__
    text = f"Blocked by the firewall: the tool-call service could not be asked: {why}; {START}\n"
    if agent == "copilot":
        import json

        reply = {"permissionDecision": "deny", "permissionDecisionReason": text}
        _write(1, json.dumps(reply).encode())
    _write(2, text.encode(errors="replace"))
