"""The rules of a shared network namespace: only the gate's user gets out.

The chain `leaving` is the wall. It knows the gate by the user of the socket, and lets nothing else
leave; so nothing leaves either when the gate is gone. The chain `redirected` is the road: it leads
what others send to the gate's listeners on loopback. Where the road fails, the wall still stands.
"""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import field
from ipaddress import ip_address

from firewall.frozen import frozen
from firewall.sandbox import nftables
from firewall.sandbox.netlink import Message
from firewall.sidecar import UID

TCP_PORT, DNS_PORT, UDP_PORT = 3129, 3130, 3131
"""Where redirected connections, questions for names and all other datagrams arrive."""

TABLE = "firewall-sidecar"
_ROAD, _CAUGHT, _WALL, _TOLD = "redirected", "caught", "leaving", "refused"
_DOOR, _THROUGH = "arriving", "through"
_QUESTIONS = 53
_OURS, _NEAR = 0x46570001, 0x46570002
"""Marks of connections: those of the gate with the outside, and those that came by loopback. Only
who may change the rules can set one."""
RESOLVER = "127.0.0.11"
"""Where an engine answers questions for names by itself, and asks outside (Docker's networks)."""
_NEIGHBOURS = (135, 136)
_ROUTERS = 134
"""Neighbour solicitation and advertisement, router advertisement (RFC 4861, 4)."""
_ONLY_OF_THE_MACHINE = "/proc/sys/net/core/netdev_max_backlog"
"""A setting that only the machine's own network has (net/core/sysctl_net_core.c)."""


@frozen
class Settings:
    """`uid` is the gate's user. `inbound` are TCP ports that the outside may reach, for probes.

    `transparent`: connections are led to the gate; else only those who ask its proxy reach it.
    """

    uid: int = UID
    inbound: Sequence[int] = ()
    transparent: bool = True
    loopback: int = field(default_factory=lambda: socket.if_nametoindex("lo"))


def install(settings: Settings) -> bool:
    """Put the rules in force in this network namespace, all at once, instead of earlier ones.

    Returns whether the frames of packet sockets are held back too, which older kernels cannot.
    Needs CAP_NET_ADMIN there, and nothing afterwards. Raises OSError; ValueError where this is the
    network of the machine itself, or the gate's user is root.
    """
    if settings.uid == 0:
        raise ValueError("the gate cannot be root, as much else is; name a user of its own")
    if os.path.exists(_ONLY_OF_THE_MACHINE):
        raise ValueError(
            "this is the network of the machine itself, which all else on it would lose; share the"
            " network of a pod or of a container (in Kubernetes without hostNetwork)"
        )
    try:
        nftables.commit([*nftables.without_table(TABLE), *rules(settings)])
    except OSError as error:
        raise OSError(f"no rules can be made here: {_why(error)}") from error
    return _hold_frames(settings)


def _why(error: OSError) -> str:
    remedy = (
        "run this as root with CAP_NET_ADMIN, as deploy/kubernetes/overlays/sidecar does"
        if error.errno == errno.EPERM
        else "the kernel needs nftables with conntrack, redirection and fib"
    )
    return f"{error.strerror}; {remedy}"


def _hold_frames(settings: Settings) -> bool:
    """Let out of the interfaces what the kernel sends and the gate, and nobody's frames."""
    before = nftables.without_table(TABLE, nftables.NETDEV)
    try:
        nftables.commit([*before, *_frames(settings)])
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
        return False
    return True


def _frames(settings: Settings) -> Iterator[Message]:
    yield nftables.new_table(TABLE, nftables.NETDEV)
    others = nftables.owner(settings.uid, yes=False)
    drop = nftables.verdict(nftables.DROP)
    for index, name in socket.if_nameindex():
        if index != settings.loopback:
            hook = nftables.egress(name)
            yield nftables.new_base_chain(TABLE, name, hook, nftables.ACCEPT)
            yield nftables.new_rule(TABLE, name, others, drop, family=hook.family)


def rules(settings: Settings) -> list[Message]:
    """The whole table."""
    road = _road(settings) if settings.transparent else ()
    stones = (_wall(settings), _told(settings), _door(settings), road)
    return [nftables.new_table(TABLE), *(message for each in stones for message in each)]


def _rule(chain: str, *expressions: bytes) -> Message:
    return nftables.new_rule(TABLE, chain, *expressions)


def _accept(chain: str, *matches: bytes) -> Message:
    return _rule(chain, *matches, nftables.verdict(nftables.ACCEPT))


def _drop(chain: str, *matches: bytes) -> Message:
    return _rule(chain, *matches, nftables.verdict(nftables.DROP))


def _to_resolver() -> bytes:
    return nftables.destination(socket.AF_INET, ip_address(RESOLVER).packed)


def _road(settings: Settings) -> Iterator[Message]:
    yield nftables.new_chain(TABLE, _CAUGHT)
    yield _rule(_CAUGHT, nftables.transport(socket.IPPROTO_TCP), nftables.redirect(TCP_PORT))
    yield _rule(_CAUGHT, nftables.transport(socket.IPPROTO_UDP), nftables.redirect(UDP_PORT))
    yield nftables.new_base_chain(TABLE, _ROAD, nftables.OUTPUT_NAT, nftables.ACCEPT)
    yield _accept(_ROAD, nftables.owner(settings.uid))
    # Also those to loopback, where an engine or a cache of the node's may answer.
    question = nftables.destination_port(socket.IPPROTO_UDP, _QUESTIONS)
    yield _rule(_ROAD, question, nftables.redirect(DNS_PORT))
    question = nftables.destination_port(socket.IPPROTO_TCP, _QUESTIONS)
    yield _rule(_ROAD, question, nftables.redirect(TCP_PORT))
    yield _rule(_ROAD, _to_resolver(), nftables.go_to(_CAUGHT))
    yield _accept(_ROAD, nftables.leaves_by(settings.loopback))
    yield _rule(_ROAD, nftables.go_to(_CAUGHT))


def _wall(settings: Settings) -> Iterator[Message]:
    """Last of all, where a packet has the interface by which it leaves: a socket may be bound to
    one, and what it sends is then not led to loopback, whatever the address."""
    near, gate = nftables.leaves_by(settings.loopback), nftables.owner(settings.uid)
    yield nftables.new_base_chain(TABLE, _WALL, nftables.POSTROUTING)
    yield _accept(_WALL, gate, near)
    yield _drop(_WALL, _to_resolver())
    yield _accept(_WALL, near)
    # What answers such a connection goes back there, also to one who is known by no socket's owner
    # (those of MPTCP have none) and claims to be elsewhere.
    yield _drop(_WALL, nftables.marked(_NEAR))
    yield _accept(_WALL, gate, nftables.mark(_OURS))
    yield _drop(_WALL, nftables.owned())
    # Nobody holds a socket any more that was closed, but the kernel still sends its last bytes.
    yield _accept(_WALL, nftables.not_opening(), nftables.marked(_OURS))
    yield from (_accept(_WALL, nftables.icmp6(kind)) for kind in _NEIGHBOURS)


def _told(settings: Settings) -> Iterator[Message]:
    """Refuse at once what the wall would drop, so that a program need not wait in vain.

    IPv6 asks nobody whether a source is its own (ip(7), IP_FREEBIND). Who claims another is not
    heard at all: an answer would leave, and a name server's would be believed.
    """
    yield nftables.new_base_chain(TABLE, _TOLD, nftables.OUTPUT, nftables.ACCEPT)
    yield _accept(_TOLD, nftables.owner(settings.uid))
    yield _drop(_TOLD, nftables.owned(), nftables.foreign_source())
    yield from _refused(_to_resolver())
    yield _accept(_TOLD, nftables.leaves_by(settings.loopback))
    # What was redirected is still said to leave by its first road.
    yield _accept(_TOLD, nftables.destination(socket.AF_INET, b"\x7f"))
    yield _accept(_TOLD, nftables.destination(socket.AF_INET6, ip_address("::1").packed))
    yield from _refused(nftables.owned())


def _refused(match: bytes) -> Iterator[Message]:
    tcp = nftables.transport(socket.IPPROTO_TCP)
    yield _rule(_TOLD, match, tcp, nftables.reset())
    yield _rule(_TOLD, match, nftables.prohibit())


def _door(settings: Settings) -> Iterator[Message]:
    yield nftables.new_base_chain(TABLE, _DOOR, nftables.INPUT)
    near = nftables.came_by(settings.loopback)
    # Reached directly, the listener would take its own address for the destination.
    direct = nftables.destination_port(socket.IPPROTO_TCP, TCP_PORT)
    yield _rule(_DOOR, near, direct, nftables.direct(), nftables.reset())
    yield _accept(_DOOR, near, nftables.mark(_NEAR))
    yield _accept(_DOOR, nftables.answering())
    for port in settings.inbound:
        yield _accept(_DOOR, nftables.destination_port(socket.IPPROTO_TCP, port))
    yield from (_accept(_DOOR, nftables.icmp6(kind)) for kind in (*_NEIGHBOURS, _ROUTERS))
    yield nftables.new_base_chain(TABLE, _THROUGH, nftables.FORWARD)
