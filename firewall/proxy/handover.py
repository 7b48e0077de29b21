"""How a flow travels from the gate to the depth process: its descriptor and its typed context.

One message of a Unix SOCK_SEQPACKET socket is one JSON object; a flow's socket rides along as
SCM_RIGHTS (unix(7)). The gate has only peeked at that socket: every byte is still in it. A message
that is too large for the channel travels as a memory file, whose descriptor comes last.
"""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from firewall.actor import Actor, Process
from firewall.deeds import Deed
from firewall.frozen import frozen
from firewall.protocols.certificates import Certificate
from firewall.proxy.ways import Road
from firewall.verdict import Action, Limit, Obligations, Severity, Verdict

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 64 << 10
"""Bytes of one message. What is larger (a policy of 10,000 hosts, an agent's endless command line)
travels as a memory file: the kernel would refuse it, and the receiver would read only its start."""

DESCRIPTORS = 5
"""At most, with one message."""

_IN_FILE = b"memory file"


type Kind = Literal["intercept", "refuse", "forward"]


@frozen
class Setup:
    """The first message: what the depth process needs before it can judge.

    `policy` is `Policy.dump()`, `audit` the log's directory and `chain` the name of this process's
    own chain in it, `authority` the folder of the certificate authority, `upstream_ca` a PEM file
    of the authorities trusted upstream, `known_hosts` the SSH host keys known upstream, as
    sshd(8) lays them out. `quarantined` is the deny that answers everything while the sandbox is in
    quarantine, and `release` the command that ends it (judge.Judge). `addons` names the modules
    whose `addons` mitmproxy is to load besides, as its option --scripts does. `desk` names what
    makes the judge's desk, "module:function", which is given `approvals`, the folder where
    questions wait for a person; without it nobody is asked. `deeds` is what was done so far and the
    policy may refer to. `vault` is `Vault.dump()`, the secrets themselves.
    """

    policy: str
    audit: str
    chain: str
    authority: str
    upstream_ca: str
    known_hosts: str = ""
    release: str = ""
    quarantined: Verdict | None = None
    addons: tuple[str, ...] = ()
    desk: str = ""
    approvals: str = ""
    deeds: tuple[Deed, ...] = ()
    vault: dict[str, Any] = field(default_factory=dict, repr=False)


@frozen
class Handover:
    """One flow's context.

    `kind` says what to do: "intercept" serve it (its Connect is already allowed), "refuse" explain
    `verdict` to the client in its own protocol and let nothing through, "forward" serve it as an
    HTTP proxy for absolute-form requests, each with a destination of its own that is judged here.
    `host`:`port` is the destination as asked, `address` the IP address that was judged for it.
    `decrypted` says that the gate has ended the client's TLS, and that what is inside it follows.
    """

    kind: Kind
    flow: int
    client: tuple[str, int]
    host: str
    port: int
    address: str | None
    protocol: str
    sni: str | None
    actor: Actor
    verdict: Verdict
    decrypted: bool = False


@frozen
class Duty:
    """What a worker is told besides its setup.

    It is `number` (from 1 on) of so many `workers`, writes `chain`, and numbers its flows from
    `first_flow` on. `sandbox` is the name of whom it serves; `finder` names what finds the
    processes there, "module:class", `pid` the first of them and `namespace` the inode of their
    network, None where that is no sandbox's. `inspect` says where HTTP is inspected: "fast",
    "http2" or "depth". With `live` every verdict is told as it is made.
    """

    number: int
    workers: int
    chain: str
    sandbox: str
    finder: str
    pid: int = 1
    namespace: int | None = None
    inspect: str = "fast"
    live: bool = False
    first_flow: int = 1


@dataclass
class Traffic:
    """What a flow has carried: bytes `sent` by the client and `received` from servers. Of these the
    last one that spoke TLS has shown its `certificate`, which was verified."""

    sent: int = 0
    received: int = 0
    certificate: Certificate | None = None

    def facts(self, started: float) -> dict[str, Any]:
        """What the record tells of it, where it began at `started` (monotonic) and ends now."""
        seconds = round(time.monotonic() - started, 3)
        carried = {"sent": self.sent, "received": self.received, "seconds": seconds}
        return carried | ({"certificate": asdict(self.certificate)} if self.certificate else {})


def send(
    channel: socket.socket, kind: str, body: dict[str, Any], fds: tuple[int, ...] = ()
) -> None:
    """Send one message; raises OSError when the other side is gone or its queue is full."""
    data = json.dumps({"kind": kind, "body": body}).encode()
    if len(data) <= MESSAGE_LIMIT:
        socket.send_fds(channel, [data], fds)
        return
    with os.fdopen(os.memfd_create("message", os.MFD_CLOEXEC), "wb") as file:
        file.write(data)
        file.flush()
        socket.send_fds(channel, [_IN_FILE], (*fds, file.fileno()))


def send_setup(channel: socket.socket, setup: Setup) -> None:
    """Send the setup, first or anew after a policy reload."""
    send(channel, "setup", asdict(setup))


def decode_setup(body: dict[str, Any]) -> Setup:
    return Setup(
        **{
            **body,
            "quarantined": decode_verdict(body["quarantined"]),
            "addons": tuple(body["addons"]),
            "deeds": decode_deeds(body),
        }
    )


def encode_deeds(deeds: Iterable[Deed]) -> dict[str, Any]:
    return {"deeds": [asdict(each) for each in deeds]}


def decode_deeds(body: dict[str, Any]) -> tuple[Deed, ...]:
    return tuple(Deed(**each) for each in body["deeds"])


def receive(channel: socket.socket) -> tuple[str, dict[str, Any], list[int]] | None:
    """The next message's kind, body and descriptors; BlockingIOError when it must wait.

    None at the channel's end: when the other side has closed, and when a message cannot be read.
    Without a free descriptor the kernel drops those of the message: then the list is empty, and
    a message that was in one is lost.
    """
    try:
        data, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, DESCRIPTORS)
        if not data:
            return None
        message = json.loads(_read_file(fds) if data == _IN_FILE else data)
    except BlockingIOError:
        raise
    except OSError as error:
        logger.warning("the channel to another process ends: %s", error)
        return None
    return message["kind"], message["body"], fds


def _read_file(fds: list[int]) -> bytes:
    """The message in the last descriptor, which is taken off the list and closed."""
    if not fds:
        raise OSError(errno.EMFILE, "no descriptor is left for a message")
    with os.fdopen(fds.pop(), "rb") as file:
        file.seek(0)
        return file.read()


def encode(handover: Handover) -> dict[str, Any]:
    return asdict(handover)


def decode(body: dict[str, Any]) -> Handover:
    client = (body["client"][0], body["client"][1])
    return Handover(
        **{
            **body,
            "client": client,
            "actor": _actor(body["actor"]),
            "verdict": _verdict(body["verdict"]),
        }
    )


def decode_road(body: dict[str, Any]) -> Road:
    client, dialled = body["client"], body["dialled"]
    ends = {"client": (client[0], client[1]), "dialled": (dialled[0], dialled[1])}
    return Road(**{**body, **ends})


def decode_duty(body: dict[str, Any]) -> Duty:
    return Duty(**body)


def decode_verdict(body: dict[str, Any] | None) -> Verdict | None:
    return _verdict(body) if body else None


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
            "obligations": _obligations(body["obligations"]),
        }
    )


def _obligations(body: dict[str, Any]) -> Obligations:
    limits = tuple(Limit(**each) for each in body["limits"])
    return Obligations(**{**body, "inject": tuple(body["inject"]), "limits": limits})
