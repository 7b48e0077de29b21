"""What the addon knows about one client connection and about one exchange on it."""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mitmproxy import connection, http
from mitmproxy.proxy import layer

from firewall.actor import Actor
from firewall.charging import Meter
from firewall.lookout import Lookout
from firewall.protocols import Watch
from firewall.proxy.handover import Handover
from firewall.proxy.http.watching import BodyWatch
from firewall.requests import Direction, Finding, HttpRequest, ToolCall
from firewall.vault import Vault
from firewall.verdict import Action, Severity, Verdict

KEY = "firewall"
"""Where an Exchange is kept in the metadata of mitmproxy's HTTPFlow."""

UNKNOWN = Actor(sandbox="unknown")
UNJUDGED = Verdict(
    action=Action.DENY,
    rule="fail-closed.http",
    reason="nothing allowed this connection",
    severity=Severity.CRITICAL,
)


type Steps = Generator[bytes | ToolCall | Finding, Verdict | None, None]
"""Yields bytes that may go on, and calls; after a call it is sent the verdict. A finding says why
the rest of the answer cannot be read."""


class Rewriter(Protocol):
    """Reads the tool calls of one answer. Both end with a finding for what may hide a call."""

    def feed(self, data: bytes) -> Steps: ...

    def finish(self) -> Steps:
        """The answer is complete."""


class Signing(Protocol):
    """Signs a request; its head waits for its body where that is needed."""

    @property
    def needs_body(self) -> bool: ...

    def sign(self, body: bytes) -> tuple[Finding, ...]:
        """Set the signature; what is wrong with the client's own, in which case none is set."""
        ...


def no_window(_: connection.Connection) -> int:
    return 0


@dataclass
class Flow:
    """One client connection.

    `kind` is the handover's. `host`:`port` is the destination as asked ("" until an HTTP proxy's
    client has named one) and `judged` says whether connecting to it was judged. `reach` maps every
    address that was judged for this flow to the name it was judged for: nothing else is dialled.
    `trouble` is why an allowed name leads nowhere, `spoke` whether the client has said what it
    wants, `undecided` where its bytes wait until then. `meter` counts the bytes of what is not
    HTTP, and `reads` says whether that is looked at. `waiting` tells how many bytes wait for the
    HTTP/2 window of a connection.
    """

    kind: Literal["intercept", "refuse", "forward"]
    number: int = 0
    client: tuple[str, int] = ("", 0)
    host: str = ""
    port: int = 0
    actor: Actor = UNKNOWN
    verdict: Verdict = UNJUDGED
    judged: bool = False
    reach: dict[tuple[str, int], str] = field(default_factory=dict)
    meter: Meter | None = None
    reads: bool = True
    waiting: Callable[[connection.Connection], int] = no_window
    trouble: str = ""
    spoke: bool = False
    undecided: layer.NextLayer | None = None

    def facts(self) -> dict[str, Any]:
        """What goes into the records besides the request."""
        return {
            "flow": self.number,
            "client": list(self.client),
            "host": self.host,
            "port": self.port,
            "reach": [address for address, _ in self.reach],
        }

    def address_of(self, host: str, port: int) -> str | None:
        """The address already judged for a name and port on this flow."""
        known = (at for (at, where), name in self.reach.items() if (name, where) == (host, port))
        return next(known, None)


NOBODY = Flow("refuse")
"""Stands for a connection nobody announced."""


def flow_from(given: Handover) -> Flow:
    """The flow that the gate hands over: its Connect is judged, and so is its address."""
    place = {(given.address, given.port): given.host} if given.address else {}
    return Flow(
        kind=given.kind,
        number=given.flow,
        client=given.client,
        host=given.host,
        port=given.port,
        actor=given.actor,
        verdict=given.verdict,
        judged=True,
        reach=place if given.kind == "intercept" else {},
    )


def flow_at_proxy(client: connection.Client, actor: Actor) -> Flow:
    """A flow of an HTTP proxy's client, which is yet to name its destination."""
    host, port, *_ = client.peername
    return Flow(kind="forward", client=(str(host), int(port)), actor=actor)


class Exchange:
    """One request and its answer: what was asked, whether it may pass, and who watches it.

    `held` says that it waits for its body, by which it is judged, `overlong` that this is too long
    to be read. `tool_calls` says that the answer's tool calls are to be judged, `rewriter` who
    reads them; `signing` signs the request once its whole body is there; `vault` has the secrets
    that were in office when the request came. `verdict` allowed it, and `meter` counts its bytes
    where that limits them.
    """

    def __init__(self, flow: Flow, asked: HttpRequest, vault: Vault) -> None:
        self.flow = flow
        self.vault = vault
        self.asked = asked
        self.allowed = False
        self.verdict = UNJUDGED
        self.meter: Meter | None = None
        self.blocked: Verdict | None = None
        self.held = False
        self.overlong = False
        self.tool_calls = False
        self.rewriter: Rewriter | None = None
        self.signing: Signing | None = None
        self._bodies: dict[Direction, BodyWatch] = {}
        self._messages: dict[Direction, tuple[Watch, Lookout]] = {}

    def watch_body(
        self, direction: Direction, message: http.Message, data: bytes
    ) -> tuple[Finding, ...]:
        if direction not in self._bodies:
            encoding = message.headers.get("content-encoding", "")
            content_type = message.headers.get("content-type", "")
            self._bodies[direction] = BodyWatch(direction, self.vault, encoding, content_type)
        return self._bodies[direction].feed(data)

    def is_busy(self, direction: Direction) -> bool:
        """Whether more is to be looked at of the piece of a body that came last."""
        return direction in self._bodies and self._bodies[direction].busy

    async def look_on(self, direction: Direction) -> tuple[Finding, ...]:
        """What is found in the rest of it, while other flows have their turns."""
        findings: tuple[Finding, ...] = ()
        while self.is_busy(direction):
            await asyncio.sleep(0)
            findings += self._bodies[direction].go_on()
        return findings

    def watch_trailers(self, direction: Direction, trailers: http.Headers) -> tuple[Finding, ...]:
        lookout = self.vault.stream("trailers", direction)
        return lookout.feed(b"\0".join(part for field in trailers.fields for part in field))

    @property
    def begun(self) -> bool:
        """Whether a secret may have begun at the end of what was received."""
        return "received" in self._bodies and self._bodies["received"].begun

    def watch_message(self, direction: Direction, content: bytes) -> tuple[Finding, ...]:
        if direction not in self._messages:
            lookout = self.vault.stream("websocket", direction)
            self._messages[direction] = Watch("websocket", direction), lookout
        watch, lookout = self._messages[direction]
        return watch.feed(content, end=True) + lookout.feed(content)


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange that belongs to mitmproxy's flow; None when its request was not judged."""
    found = flow.metadata.get(KEY)
    return found if isinstance(found, Exchange) else None
