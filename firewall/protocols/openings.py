"""First bytes of miners, coin nodes and tunnels that speak neither JSON nor HTTP."""

import re
from dataclasses import dataclass

from firewall.protocols.identity import MORE, Answer, Identity, More
from firewall.requests import Finding, FindingKind

type Shape = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """One protocol's first bytes. Each item of `shape` lists what its byte may be; b"" is any."""

    kind: FindingKind
    name: str
    evidence: str
    shape: Shape


def _fixed(data: bytes) -> Shape:
    return tuple(bytes([byte]) for byte in data)


_ANY = b""
_OPENINGS = (
    # Bitcoin chainparams.cpp: mainnet, testnet3, testnet4 and signet
    *(
        Opening("mining", "bitcoin-p2p", "Bitcoin version message", _fixed(magic + b"version\0"))
        for magic in (
            b"\xf9\xbe\xb4\xd9",
            b"\x0b\x11\x09\x07",
            b"\x1c\x16\x3f\x28",
            b"\x0a\x03\xcf\x40",
        )
    ),
    # Monero contrib/epee/include/net/levin_base.h: LEVIN_SIGNATURE
    Opening("mining", "monero-p2p", "Levin signature", _fixed(b"\x01\x21\x01\x01\x01\x01\x01\x01")),
    # sv2-spec 03-Protocol-Overview.md 3.2 and 3.6.1: SetupConnection, version 2 to 2
    Opening(
        "mining",
        "stratum-v2",
        "SetupConnection message",
        (*_fixed(b"\0\0\0"), _ANY, _ANY, b"\0", b"\0\1\2\3", *_fixed(b"\2\0\2\0")),
    ),
    # frp pkg/msg/msg.go: type 'o', a 64-bit length, JSON; pkg/proto/wire/wire.go: version 2
    Opening("tunnel", "frp", "login message", (*_fixed(b"o\0\0\0\0\0\0"), _ANY, _ANY, b"{")),
    Opening("tunnel", "frp", "version 2 greeting", _fixed(b"FRP\0\2\r\n")),
    # hashicorp/yamux spec.md: version 0, data or window update, SYN, stream 1; frp and ligolo-ng
    Opening("tunnel", "yamux", "first stream", (b"\0", b"\0\1", *_fixed(b"\0\1\0\0\0\1"))),
    Opening("tunnel", "yamux", "ping", _fixed(b"\0\2\0\1\0\0\0\0")),
    # rathole src/protocol.rs: Hello of either channel, protocol version 1, a 32-byte digest
    Opening("tunnel", "rathole", "hello", (b"\0\1", *_fixed(b"\0\0\0\1"), *[_ANY] * 32)),
)

_BY_FIRST_BYTE = {
    byte: tuple(opening for opening in _OPENINGS if byte in opening.shape[0])
    for byte in b"".join(opening.shape[0] for opening in _OPENINGS)
}

_JOB = b"JOB,"
_DUINO = re.compile(rb"JOB,[^,\r\n]{1,64},[A-Z0-9_]{2,16}(?:,[^\r\n]{0,128})?\r?\n?")
"""Duino-Coin PC_Miner.py: JOB,user,difficulty[,key]."""

_LINE_LIMIT = 256


def recognise(data: bytes) -> Answer:
    """Identify any of the openings: protocol "unknown", with the finding that says more.

    `data` must not be empty.
    """
    answers = [_match(opening, data) for opening in _BY_FIRST_BYTE.get(data[0], ())]
    answers.append(_match_duino(data))
    found = next((answer for answer in answers if isinstance(answer, Finding)), None)
    if found:
        return Identity("unknown", findings=(found,))
    return MORE if MORE in answers else None


def _match(opening: Opening, data: bytes) -> Finding | More | None:
    shape = opening.shape
    if any(allowed and byte not in allowed for byte, allowed in zip(data, shape, strict=False)):
        return None
    if len(data) < len(shape):
        return MORE
    evidence = f"{opening.name} {opening.evidence}"
    return Finding(opening.kind, opening.name, evidence, f"client bytes 0-{len(shape) - 1}")


def _match_duino(data: bytes) -> Finding | More | None:
    if not data.startswith(_JOB):
        return MORE if _JOB.startswith(data) else None
    line, newline, _ = data[:_LINE_LIMIT].partition(b"\n")
    if not newline:
        return MORE if len(data) < _LINE_LIMIT else None
    if not _DUINO.fullmatch(line):
        return None
    return Finding(
        "mining", "duino-coin", "line JOB,user,difficulty", f"client bytes 0-{len(line)}"
    )
