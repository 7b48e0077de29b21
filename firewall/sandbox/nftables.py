"""nftables rules as netlink messages: the expressions that the sandbox's one table needs.

Formats: linux/netfilter/nf_tables.h and nfnetlink.h. Numbers inside attributes are big-endian.
"""

import socket
import struct

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
_INET = 1
_PREROUTING = 0
_MANGLE = -150
_VERDICT_REGISTER, _REGISTER = 0, 1
_META_NFPROTO, _META_L4PROTO = 15, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_CREATE = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">i", value))


def _general(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def _expression(name: str, *data: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *data))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, 0), nested(3, attribute(1, value)))


def _meta(key: int, value: int) -> bytes:
    load = _expression("meta", _number(1, _REGISTER), _number(2, key))
    return load + _equals(bytes([value]))


def _payload(base: int, offset: int, value: bytes) -> bytes:
    load = _expression(
        "payload",
        _number(1, _REGISTER),
        _number(2, base),
        _number(3, offset),
        _number(4, len(value)),
    )
    return load + _equals(value)


def family(number: int) -> bytes:
    """Match packets of AF_INET or AF_INET6."""
    return _meta(_META_NFPROTO, number)


def transport(protocol: int) -> bytes:
    """Match packets of a transport protocol, by its number."""
    return _meta(_META_L4PROTO, protocol)


def destination(address_family: int, prefix: bytes) -> bytes:
    """Match packets whose destination address starts with `prefix` (whole bytes)."""
    offset = 16 if address_family == socket.AF_INET else 24
    return family(address_family) + _payload(_NETWORK_HEADER, offset, prefix)


def destination_port(protocol: int, port: int) -> bytes:
    """Match packets to one TCP or UDP port."""
    return transport(protocol) + _payload(_TRANSPORT_HEADER, 2, struct.pack(">H", port))


def verdict(code: int, chain: str = "") -> bytes:
    """End the rule: ACCEPT or DROP, or go on in `chain`."""
    parts = [_number(1, code)] + ([text(2, chain)] if chain else [])
    return _expression("immediate", _number(1, _VERDICT_REGISTER), nested(2, nested(2, *parts)))


def go_to(chain: str) -> bytes:
    """Go on in another chain and do not come back."""
    return verdict(_GOTO, chain)


def tproxy(address_family: int, port: int) -> bytes:
    """Give the packet to the transparent listener on `port`, its destination left as it is."""
    value = nested(2, attribute(1, struct.pack(">H", port)))
    load = _expression("immediate", _number(1, _REGISTER), value)
    return load + _expression("tproxy", _number(1, address_family), _number(3, _REGISTER))


def new_table(table: str) -> Message:
    """Make a table of the family inet (IPv4 and IPv6)."""
    return Message(_NEW_TABLE, _CREATE, _general(_INET) + text(1, table))


def without_table(table: str) -> list[Message]:
    """Remove a table, if there is one: it is made first, as only what is there can be removed."""
    body = _general(_INET) + text(1, table)
    return [
        Message(_NEW_TABLE, NLM_F_CREATE | NLM_F_ACK, body),
        Message(_DELETE_TABLE, NLM_F_ACK, body),
    ]


def new_chain(table: str, chain: str) -> Message:
    """Make a chain that other chains go to."""
    return Message(_NEW_CHAIN, _CREATE, _general(_INET) + text(1, table) + text(3, chain))


def new_prerouting(table: str, chain: str) -> Message:
    """Make the chain that every arriving packet passes; what no rule accepts is dropped."""
    hook = nested(4, _number(1, _PREROUTING), _number(2, _MANGLE))
    names = text(1, table) + text(3, chain)
    body = _general(_INET) + names + hook + _number(5, DROP) + text(7, "filter")
    return Message(_NEW_CHAIN, _CREATE, body)


def new_rule(table: str, chain: str, *expressions: bytes) -> Message:
    """Append a rule to a chain."""
    names = text(1, table) + text(2, chain)
    body = _general(_INET) + names + nested(4, *expressions)
    return Message(_NEW_RULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, body)


def commit(messages: list[Message]) -> None:
    """Apply all messages as one transaction, or none of them."""
    resource = _general(socket.AF_UNSPEC, _SUBSYSTEM >> 8)
    batch = [Message(_BATCH_BEGIN, 0, resource), *messages, Message(_BATCH_END, 0, resource)]
    transact(NETLINK_NETFILTER, batch)
