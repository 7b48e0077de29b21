"""The gate's sockets on loopback, and what is known of those who are led there."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from firewall.proxy.actors import Endpoint
from firewall.proxy.redirected import Redirected
from firewall.proxy.udp import DNS_PORT as QUESTIONS
from firewall.proxy.udp import Ancillary
from firewall.sandbox.actors import ActorFinder
from firewall.sidecar.peers import Peers
from firewall.sidecar.rules import DNS_PORT, RESOLVER, TCP_PORT, UDP_PORT

_BACKLOG = 4096
_PATIENCE_S = 5.0
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class Finder(ActorFinder):
    """Finds the actors of a shared network namespace: the users always, processes where it may."""

    nobody = "its process is in another container, or may not be read"


@contextmanager
def opened() -> Iterator[Redirected]:
    """Where the rules lead to. Each family has a socket of its own, bound to loopback, so that what
    it sends has the address to which conntrack has redirected. Raises OSError."""
    with ExitStack() as stack:
        tcp, udp = [], []
        peers = stack.enter_context(closing(Peers()))
        for family, host in _families():
            tcp.append(stack.enter_context(_listener(family, host, TCP_PORT)))
            asked = stack.enter_context(_bound(family, host, DNS_PORT))
            udp.append((asked, _questions(peers)))
            others = stack.enter_context(_bound(family, host, UDP_PORT))
            udp.append((others, lambda _, client: peers.of(client)))
        yield Redirected(tcp, udp)


def must_be_guarded() -> None:
    """Raise ValueError where no rules are in force, or they do not know this user as the gate's.

    Only who may change rules can list them. But they refuse whoever reaches the listener of
    redirected connections directly, and lead there whoever but the gate asks an engine's resolver.
    """
    if _reached("127.0.0.1"):
        raise ValueError(
            "no rules keep the agent to this gate; run `firewall sidecar init` in this network"
            " first"
        )
    if _reached(RESOLVER):
        raise ValueError(
            "the rules let out another user; run `firewall sidecar init` again, with --uid as here"
        )


def _reached(host: str) -> bool:
    """Whether a connection there arrives at the listener of redirected ones, or at any."""
    try:
        socket.create_connection((host, TCP_PORT), _PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def proxies(stack: ExitStack, port: int) -> list[socket.socket]:
    """Listeners for those who are told of a proxy. Raises OSError."""
    return [stack.enter_context(_listener(*place, port)) for place in _families()]


def _questions(peers: Peers) -> Callable[[Ancillary, Endpoint], Endpoint]:
    return lambda _, client: (peers.of(client)[0], QUESTIONS)


def _families() -> Iterator[tuple[socket.AddressFamily, str]]:
    """Those that have a loopback address here."""
    for family, host in _LOOPBACK:
        try:
            _bound(family, host, 0).close()
        except OSError:
            continue
        yield family, host


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _taken(host, port, error) from error


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise _taken(host, port, error) from error
    return made


def _taken(host: str, port: int, error: OSError) -> OSError:
    return OSError(
        f"the gate cannot listen at {host}:{port}, where the rules lead: {error.strerror}; is"
        " another gate here, or does the agent keep the port?"
    )
