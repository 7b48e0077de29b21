"""First bytes of miners and coin nodes that speak neither JSON nor HTTP."""

import re

from firewall.protocols.identity import MORE
from firewall.protocols.mining.curve import is_on_curve
from firewall.protocols.shapes import ANY, Length, Opening, fixed

_MAGICS = (
    # Bitcoin chainparams.cpp: mainnet, testnet3, testnet4, signet, regtest
    b"\xf9\xbe\xb4\xd9", b"\x0b\x11\x09\x07", b"\x1c\x16\x3f\x28", b"\x0a\x03\xcf\x40",
    b"\xfa\xbf\xb5\xda",
    # the same file of Litecoin, Dogecoin, Dash, Bitcoin Cash, Zcash, Ravencoin, DigiByte
    b"\xfb\xc0\xb6\xdb", b"\xc0\xc0\xc0\xc0", b"\xbf\x0c\x6b\xbd", b"\xe3\xe1\xf3\xe8",
    b"\x24\xe9\x27\x64", b"RAVN", b"\xfa\xc3\xb6\xda",
)  # fmt: skip

_JOB = re.compile(rb"JOB,[^,\r\n]{1,64},[A-Z0-9_]{2,16}(?:,[^\r\n]{0,128})?\r?\n?")
"""Duino-Coin PC_Miner.py: JOB,user,difficulty[,key]."""

_LINE_LIMIT = 256
_AUTH_SIZES = range(256, 768)
"""EIP-8: an encrypted authentication message of at least 307 bytes with its size, and padding."""


def _read_job(data: bytes) -> Length:
    line, newline, _ = data[:_LINE_LIMIT].partition(b"\n")
    if not newline:
        return MORE if len(data) < _LINE_LIMIT else None
    return len(line) + 1 if _JOB.fullmatch(line) else None


def _read_rlpx(data: bytes) -> Length:
    """A size, then ECIES: an uncompressed point, an initialisation vector, ciphertext, a code."""
    if int.from_bytes(data[:2]) not in _AUTH_SIZES:
        return None
    if len(data) < 67:
        return MORE
    return 67 if is_on_curve(data[3:67]) else None


PEERS = (
    *(
        Opening("mining", "bitcoin-p2p", "version message", fixed(magic + b"version\0"))
        for magic in _MAGICS
    ),
    # Monero contrib/epee/include/net/levin_base.h: LEVIN_SIGNATURE
    Opening("mining", "monero-p2p", "Levin signature", fixed(b"\x01\x21\x01\x01\x01\x01\x01\x01")),
)
"""Of nodes that speak alike both ways."""

FROM_CLIENTS = (
    *PEERS,
    # devp2p rlpx.md and EIP-8: initiation of an RLPx connection
    Opening(
        "mining",
        "ethereum-p2p",
        "handshake: a point of secp256k1 behind its size",
        (b"\1\2", ANY, b"\x04"),
        _read_rlpx,
    ),
    # sv2-spec 03-Protocol-Overview.md 3.2 and 3.6.1: SetupConnection, version 2 to 2
    Opening(
        "mining",
        "stratum-v2",
        "SetupConnection message",
        (*fixed(b"\0\0\0"), ANY, ANY, b"\0", b"\0\1\2\3", *fixed(b"\2\0\2\0")),
    ),
    Opening("mining", "duino-coin", "line JOB,user,difficulty", fixed(b"JOB,"), _read_job),
)
