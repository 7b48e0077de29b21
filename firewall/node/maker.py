"""Makes a place ready: the work for the kernel, on a thread that may wait."""

import os
from collections.abc import Callable

from firewall.frozen import frozen
from firewall.node import place as places
from firewall.node.claims import Claims
from firewall.node.place import Place
from firewall.node.requests import Attach, Create
from firewall.node.trust import Means, Trusted
from firewall.sandbox import network
from firewall.sandbox.enter import in_network, in_new_network
from firewall.sandbox.network import Sockets

type Allowed = Callable[[int], None]
"""Raises RequestError where the caller may not do this to what that user owns."""

ROOT = 0
_NUMBERED = 12
"""Digits of a container's id that make a name, as engines show them."""


@frozen
class Made:
    """A place whose every flow arrives in these sockets."""

    name: str
    place: Place
    sockets: Sockets
    trust: Means

    def discard(self) -> None:
        for each in (self.sockets.tcp, self.sockets.udp, self.sockets.diag):
            each.close()
        self.place.close()


def attach(request: Attach, allowed: Allowed, claims: Claims, trusted: Trusted) -> Made:
    """Turn a place's network into one that leads to the firewall.

    Raises RequestError, PlaceError, UnknownContainerError, OSError; what was begun then leads
    nowhere, as before.
    """
    if request.namespace is not None:
        allowed(ROOT)  # whose a path always is; for nobody else it is even opened
    place = _find(request)
    try:
        allowed(place.owner)
        places.must_be_closed(place)
        name = request.name or _called(request, place)
        # First, as another's listeners would be bereft of their flows.
        with claims.held(name, place.inode):
            trust = trusted.install(place.mounts)
            sockets = in_network(place.network, lambda: network.configure(again=True))
    except BaseException:
        place.close()
        raise
    return Made(name, place, sockets, trust)


def create(request: Create, owner: int, claims: Claims) -> Made:
    """Make a network namespace that leads to the firewall. Raises RequestError, OSError."""

    def inside() -> tuple[int, Sockets]:
        sockets = network.configure()
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), sockets

    handle, sockets = in_new_network(inside)
    made = Made(request.name, Place(handle, owner), sockets, "environment")
    try:
        with claims.held(made.name, made.place.inode):
            return made
    except BaseException:
        made.discard()
        raise


def _find(request: Attach) -> Place:
    if request.pid is not None:
        return places.of_process(request.pid)
    if request.container is not None:
        return places.of_container(request.container)
    assert request.namespace is not None
    return places.of_path(request.namespace)


def _called(request: Attach, place: Place) -> str:
    if request.container is not None:
        return request.container[:_NUMBERED]
    return f"pid-{place.pid}" if place.pid else f"net-{place.inode}"
