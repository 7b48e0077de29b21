"""nftables rules as netlink messages: the expressions that the firewall's tables need.

Formats: linux/netfilter/nf_tables.h and nfnetlink.h. Numbers inside attributes are big-endian.
"""

import socket
import struct

from firewall.frozen import frozen
from firewall.sandbox.netlink import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    attribute,
    nested,
    text,
    transact,
)

NETLINK_NETFILTER = 12
ACCEPT = 1
DROP = 0

_GOTO = -4
_SUBSYSTEM = 10 << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = _SUBSYSTEM | 0, _SUBSYSTEM | 3, _SUBSYSTEM | 6
_DELETE_TABLE = _SUBSYSTEM | 2
_BATCH_BEGIN, _BATCH_END = 16, 17
INET, NETDEV = 1, 5
"""Families of tables: what passes the IP stack, and what passes an interface."""
_VERDICT_REGISTER, _REGISTER = 0, 1
_META_OIF, _META_IIF, _META_SKUID, _META_NFPROTO, _META_L4PROTO = 5, 4, 10, 15, 16
_CT_STATE, _CT_STATUS, _CT_MARK = 0, 2, 3
_ESTABLISHED_OR_RELATED = 1 << 1 | 1 << 2
_DESTINATION_CHANGED = 1 << 5
"""IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h)."""
_FIB_TYPE, _FIB_SOURCE, _LOCAL = 3, 1, 2
"""NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR, and RTN_LOCAL (linux/rtnetlink.h)."""
_EQUAL, _NOT_EQUAL, _AT_LEAST = 0, 1, 5
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_TCP_FLAGS, _TCP_SYN = 13, 2
_RESET, _UNREACHABLE, _PROHIBITED = 1, 2, 3
_CREATE = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK


@frozen
class Hook:
    """Where a chain stands: which packets pass it, and in what order.

    `number` is one of enum nf_inet_hooks, or with an `interface` of enum nf_dev_hooks.
    """

    number: int
    priority: int
    kind: str = "filter"
    interface: str = ""

    @property
    def family(self) -> int:
        """Of the table whose chain it is."""
        return NETDEV if self.interface else INET


PREROUTING = Hook(0, -150)
INPUT = Hook(1, 0)
FORWARD = Hook(2, 0)
OUTPUT = Hook(3, 0)
POSTROUTING = Hook(4, 300)
"""After all that changes packets (NF_IP_PRI_LAST is reserved for conntrack's own)."""
OUTPUT_NAT = Hook(3, -101, "nat")
"""Before everybody else's (-100): the first to change a destination is the only one."""


def egress(interface: str) -> Hook:
    """What leaves an interface, frames of packet sockets too (Linux 5.16)."""
    return Hook(1, 0, interface=interface)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">i", value))


def _general(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def _expression(name: str, *data: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *data))


def _compare(value: bytes, how: int = _EQUAL) -> bytes:
    data = nested(3, attribute(1, value))
    return _expression("cmp", _number(1, _REGISTER), _number(2, how), data)


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, _REGISTER), _number(2, key))


def _conntrack(key: int) -> bytes:
    return _expression("ct", _number(1, _REGISTER), _number(2, key))


def _payload(base: int, offset: int, length: int) -> bytes:
    place = (_number(1, _REGISTER), _number(2, base), _number(3, offset), _number(4, length))
    return _expression("payload", *place)


def _masked(mask: bytes) -> bytes:
    registers = (_number(1, _REGISTER), _number(2, _REGISTER), _number(3, len(mask)))
    zero = nested(5, attribute(1, bytes(len(mask))))
    return _expression("bitwise", *registers, nested(4, attribute(1, mask)), zero)


def _word(value: int) -> bytes:
    """Four bytes as the kernel keeps numbers of its own in a register."""
    return struct.pack("=I", value)


def _immediate(value: bytes) -> bytes:
    return _expression("immediate", _number(1, _REGISTER), nested(2, attribute(1, value)))


def family(number: int) -> bytes:
    """Match packets of AF_INET or AF_INET6."""
    return _meta(_META_NFPROTO) + _compare(bytes([number]))


def transport(protocol: int) -> bytes:
    """Match packets of a transport protocol, by its number."""
    return _meta(_META_L4PROTO) + _compare(bytes([protocol]))


def destination(address_family: int, prefix: bytes) -> bytes:
    """Match packets whose destination address starts with `prefix` (whole bytes)."""
    offset = 16 if address_family == socket.AF_INET else 24
    load = _payload(_NETWORK_HEADER, offset, len(prefix))
    return family(address_family) + load + _compare(prefix)


def destination_port(protocol: int, port: int) -> bytes:
    """Match packets to one TCP or UDP port."""
    load = _payload(_TRANSPORT_HEADER, 2, 2)
    return transport(protocol) + load + _compare(struct.pack(">H", port))


def not_opening() -> bytes:
    """Match TCP segments that open no connection: those without SYN (RFC 9293, 3.1)."""
    flags = _payload(_TRANSPORT_HEADER, _TCP_FLAGS, 1) + _masked(bytes([_TCP_SYN]))
    return transport(socket.IPPROTO_TCP) + flags + _compare(bytes(1))


def icmp6(kind: int) -> bytes:
    """Match ICMPv6 messages of one type (RFC 4443, 2.1)."""
    load = _payload(_TRANSPORT_HEADER, 0, 1)
    return transport(socket.IPPROTO_ICMPV6) + load + _compare(bytes([kind]))


def leaves_by(interface: int) -> bytes:
    """Match packets that were routed to an interface, by its index."""
    return _meta(_META_OIF) + _compare(_word(interface))


def came_by(interface: int) -> bytes:
    """Match packets that arrived at an interface, by its index."""
    return _meta(_META_IIF) + _compare(_word(interface))


def foreign_source() -> bytes:
    """Match packets whose source is no address of this network (nft(8), `fib saddr type`)."""
    load = (_number(1, _REGISTER), _number(2, _FIB_TYPE), _number(3, _FIB_SOURCE))
    return _expression("fib", *load) + _compare(_word(_LOCAL), _NOT_EQUAL)


def owned() -> bytes:
    """Match packets of a socket that a process holds, whoever's it is."""
    return _meta(_META_SKUID) + _compare(bytes(4), _AT_LEAST)


def owner(uid: int, *, yes: bool = True) -> bytes:
    """Match packets of a socket that a process of this user made, or one of another user.

    Neither matches what nobody holds (nft(8), `meta skuid`).
    """
    return _meta(_META_SKUID) + _compare(_word(uid), _EQUAL if yes else _NOT_EQUAL)


def direct() -> bytes:
    """Match packets of a connection whose destination was not changed."""
    return _conntrack(_CT_STATUS) + _masked(_word(_DESTINATION_CHANGED)) + _compare(bytes(4))


def answering() -> bytes:
    """Match packets of a connection that was let out, or about one (nft(8), `ct state`)."""
    load = _conntrack(_CT_STATE) + _masked(_word(_ESTABLISHED_OR_RELATED))
    return load + _compare(bytes(4), _NOT_EQUAL)


def marked(mark: int) -> bytes:
    """Match packets of a connection with this mark."""
    return _conntrack(_CT_MARK) + _compare(_word(mark))


def mark(value: int) -> bytes:
    """Mark the packet's connection."""
    store = _expression("ct", _number(2, _CT_MARK), _number(4, _REGISTER))
    return _immediate(_word(value)) + store


def redirect(port: int) -> bytes:
    """Send the packet to a port of the loopback address instead; for chains of the kind nat."""
    return _immediate(struct.pack(">H", port)) + _expression("redir", _number(1, _REGISTER))


def reset() -> bytes:
    """Refuse a TCP segment as a closed port does; ends the rule."""
    return _expression("reject", _number(1, _RESET))


def prohibit() -> bytes:
    """Refuse a packet as "administratively prohibited" (RFC 1812, 5.2.7.1); ends the rule."""
    code = attribute(2, bytes([_PROHIBITED]))
    return _expression("reject", _number(1, _UNREACHABLE), code)


def verdict(code: int, chain: str = "") -> bytes:
    """End the rule: ACCEPT or DROP, or go on in `chain`."""
    parts = [_number(1, code)] + ([text(2, chain)] if chain else [])
    return _expression("immediate", _number(1, _VERDICT_REGISTER), nested(2, nested(2, *parts)))


def go_to(chain: str) -> bytes:
    """Go on in another chain and do not come back."""
    return verdict(_GOTO, chain)


def tproxy(address_family: int, port: int) -> bytes:
    """Give the packet to the transparent listener on `port`, its destination left as it is."""
    load = _immediate(struct.pack(">H", port))
    return load + _expression("tproxy", _number(1, address_family), _number(3, _REGISTER))


def new_table(table: str, family: int = INET) -> Message:
    """Make a table."""
    return Message(_NEW_TABLE, _CREATE, _general(family) + text(1, table))


def without_table(table: str, family: int = INET) -> list[Message]:
    """Remove a table, if there is one: it is made first, as only what is there can be removed."""
    body = _general(family) + text(1, table)
    return [
        Message(_NEW_TABLE, NLM_F_CREATE | NLM_F_ACK, body),
        Message(_DELETE_TABLE, NLM_F_ACK, body),
    ]


def new_chain(table: str, chain: str) -> Message:
    """Make a chain that other chains go to."""
    return Message(_NEW_CHAIN, _CREATE, _general(INET) + text(1, table) + text(3, chain))


def new_base_chain(table: str, chain: str, hook: Hook, policy: int = DROP) -> Message:
    """Make a chain that every packet passes at `hook`; `policy` is for what no rule ends."""
    interface = [text(3, hook.interface)] if hook.interface else []
    place = nested(4, _number(1, hook.number), _number(2, hook.priority), *interface)
    names = text(1, table) + text(3, chain)
    body = _general(hook.family) + names + place + _number(5, policy) + text(7, hook.kind)
    return Message(_NEW_CHAIN, _CREATE, body)


def new_rule(table: str, chain: str, *expressions: bytes, family: int = INET) -> Message:
    """Append a rule to a chain."""
    names = text(1, table) + text(2, chain)
    body = _general(family) + names + nested(4, *expressions)
    return Message(_NEW_RULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, body)


def commit(messages: list[Message]) -> None:
    """Apply all messages as one transaction, or none of them."""
    resource = _general(socket.AF_UNSPEC, _SUBSYSTEM >> 8)
    batch = [Message(_BATCH_BEGIN, 0, resource), *messages, Message(_BATCH_END, 0, resource)]
    transact(NETLINK_NETFILTER, batch)
