"""Where a connection leads, and which way an allowed one goes: relayed unread, to depth, or along
the fast lane."""

from typing import Literal, Protocol

from firewall.frozen import frozen
from firewall.proxy.actors import Endpoint
from firewall.requests import Connect
from firewall.verdict import Obligations, Verdict

type Way = Literal["relay", "depth", "lane"]


@frozen
class Road:
    """Where a connection comes from and where it wants to go.

    `host`:`port` is the destination as asked (a name where there is one; "" where each request
    names its own, RFC 9112 3.2.2), `dialled` the address that the client's own socket is connected
    to, which is how its process is found.
    """

    client: Endpoint
    dialled: Endpoint
    host: str
    port: int


class Lane(Protocol):
    """What takes inspected HTTP/1.1 on the gate's own loop (lane.Lane)."""

    def takes(self, request: Connect, verdict: Verdict) -> bool: ...


def way(request: Connect, verdict: Verdict, lane: Lane | None) -> Way:
    """The way of a flow whose address is allowed."""
    protocol, obliged = request.protocol, verdict.obligations
    inspected = protocol == "tls" and obliged.tls == "inspect"
    if inspected or protocol in ("http", "http2"):
        return "lane" if lane is not None and lane.takes(request, verdict) else "depth"
    return "depth" if _for_gateway(request, obliged) else "relay"


def _for_gateway(request: Connect, obliged: Obligations) -> bool:
    """Whether the SSH gateway takes it: all SSH that is not trusted, and a client that keeps silent
    where SSH is all that is allowed."""
    if request.protocol == "silent":
        return obliged.ssh == "gateway"
    return request.protocol == "ssh" and obliged.ssh != "relay"
