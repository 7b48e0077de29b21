"""How a flow travels from the gate to the depth process: its descriptor and its typed context.

One message of a Unix SOCK_SEQPACKET socket is one JSON object; a flow's socket rides along as
SCM_RIGHTS (unix(7)). The gate has consumed nothing that the JSON does not carry.
"""

import base64
import json
import os
import socket
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from firewall.actor import Actor, Process
from firewall.verdict import Action, Obligations, Severity, Verdict

MESSAGE_LIMIT = 64 << 10
"""Bytes of one message. What may be larger (a policy of 10,000 hosts) travels as a memory file."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message: what the depth process needs before it can judge.

    `policy` is `Policy.dump()`, `audit` the log's directory and `chain` the name of this process's
    own chain in it, `authority` the folder of the certificate authority, `upstream_ca` a PEM file
    of the authorities trusted upstream.
    """

    policy: str
    audit: str
    chain: str
    authority: str
    upstream_ca: str


@dataclass(frozen=True, slots=True)
class Handover:
    """One flow's context.

    `kind` says what to do: "intercept" serve it (its Connect is already allowed), "refuse" explain
    `verdict` to the client in its own protocol and let nothing through, "forward" serve it as an
    HTTP proxy for absolute-form requests, each with a destination of its own that is judged here.
    `host`:`port` is the destination as asked, `address` the IP address that was judged for it.
    """

    kind: Literal["intercept", "refuse", "forward"]
    flow: int
    client: tuple[str, int]
    host: str
    port: int
    address: str | None
    protocol: str
    sni: str | None
    actor: Actor
    verdict: Verdict
    consumed: bytes = field(default=b"")


def send(
    channel: socket.socket, kind: str, body: dict[str, Any], fds: tuple[int, ...] = ()
) -> None:
    """Send one message; raises OSError when the other side is gone or its queue is full."""
    socket.send_fds(channel, [json.dumps({"kind": kind, "body": body}).encode()], fds)


def send_setup(channel: socket.socket, setup: Setup) -> None:
    """Send the setup, first or anew after a policy reload, as a memory file."""
    memory = os.memfd_create("setup", os.MFD_CLOEXEC)
    with os.fdopen(memory, "wb") as file:
        file.write(json.dumps(asdict(setup)).encode())
        file.flush()
        send(channel, "setup", {}, (file.fileno(),))


def read_setup(fds: list[int]) -> Setup:
    """The setup from the descriptors of a "setup" message, which it closes."""
    (memory,) = fds
    with os.fdopen(memory, "rb") as file:
        file.seek(0)
        return Setup(**json.loads(file.read()))


def receive(channel: socket.socket) -> tuple[str, dict[str, Any], list[int]] | None:
    """The next message's kind, body and descriptors; None when the other side has closed."""
    data, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 1)
    if not data:
        return None
    message = json.loads(data)
    return message["kind"], message["body"], fds


def encode(handover: Handover) -> dict[str, Any]:
    body = asdict(handover)
    body["consumed"] = base64.b64encode(handover.consumed).decode()
    return body


def decode(body: dict[str, Any]) -> Handover:
    consumed = base64.b64decode(body["consumed"])
    client = (body["client"][0], body["client"][1])
    return Handover(
        **{
            **body,
            "consumed": consumed,
            "client": client,
            "actor": _actor(body["actor"]),
            "verdict": _verdict(body["verdict"]),
        }
    )


def _actor(body: dict[str, Any]) -> Actor:
    process = body["process"]
    ancestors = tuple(_process(each) for each in body["ancestors"])
    return Actor(
        **{**body, "process": _process(process) if process else None, "ancestors": ancestors}
    )


def _process(body: dict[str, Any]) -> Process:
    return Process(**{**body, "argv": tuple(body["argv"])})


def _verdict(body: dict[str, Any]) -> Verdict:
    return Verdict(
        **{
            **body,
            "action": Action(body["action"]),
            "severity": Severity(body["severity"]),
            "obligations": Obligations(**body["obligations"]),
        }
    )
