"""What a TLS ClientHello says, and its fingerprints.

JA3 is Salesforce's (github.com/salesforce/ja3), JA4 FoxIO's (github.com/FoxIO-LLC/ja4,
technical_details/JA4.md; of the JA4+ family only JA4 itself is BSD-3). Both tell TLS libraries and
their settings apart, not programs: a miner built on OpenSSL looks like anything built on OpenSSL.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from firewall.frozen import frozen

SERVER_NAME = 0
ALPN = 16
_GROUPS = 10
_POINT_FORMATS = 11
_SIGNATURES = 13
_VERSIONS = 43
_TOLD = (_GROUPS, _POINT_FORMATS, _SIGNATURES, _VERSIONS)
"""Extensions whose contents the fingerprints tell; of the others only that they are there."""

_GREASE = frozenset(0x0A0A + 0x1010 * number for number in range(16))
"""RFC 8701."""

_NAMES = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3"}


@frozen
class ClientHello:
    """What a ClientHello offers (RFC 8446 section 4.1.2).

    `length` counts the bytes of the records that carried it; `version` is the legacy one; `ciphers`
    are as on the wire; `extensions` are by type, in the order they came.
    """

    sni: str | None
    alpn: tuple[str, ...]
    length: int
    version: int
    ciphers: bytes
    extensions: Mapping[int, bytes]


def fingerprints(hello: ClientHello) -> Mapping[str, str]:
    """JA3 and JA4 by name, for a record; not to be changed."""
    extensions = hello.extensions
    told = tuple(map(extensions.get, _TOLD))
    return _fingerprints(hello.version, hello.ciphers, hello.alpn, tuple(extensions), told)


@lru_cache(maxsize=1024)
def _fingerprints(
    version: int,
    ciphers: bytes,
    alpn: tuple[str, ...],
    kinds: tuple[int, ...],
    told: tuple[bytes | None, ...],
) -> Mapping[str, str]:
    """Remembered, as a machine's few TLS libraries open all its flows."""
    contents = {kind: data for kind, data in zip(_TOLD, told, strict=True) if data is not None}
    extensions = {kind: contents.get(kind, b"") for kind in kinds}
    hello = ClientHello(None, alpn, 0, version, ciphers, extensions)
    return {"ja3": ja3(hello), "ja4": ja4(hello)}


def ja3(hello: ClientHello) -> str:
    """The MD5 of version, ciphers, extensions, groups and point formats, in their order."""
    formats = hello.extensions.get(_POINT_FORMATS, b"")[1:]
    fields = (
        [hello.version],
        _numbers(hello.ciphers),
        _without_grease(hello.extensions),
        _numbers(hello.extensions.get(_GROUPS, b"")[2:]),
        formats,
    )
    text = ",".join("-".join(map(str, field)) for field in fields)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ja4(hello: ClientHello) -> str:
    """What is offered in short, then digests of the sorted ciphers and extensions."""
    ciphers = _numbers(hello.ciphers)
    extensions = _without_grease(hello.extensions)
    known = [each for each in extensions if each not in (SERVER_NAME, ALPN)]
    signatures = _numbers(hello.extensions.get(_SIGNATURES, b"")[2:])
    offered = _hex(sorted(known)) + ("_" + _hex(signatures) if signatures else "")
    counts = f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}"
    named = "d" if SERVER_NAME in hello.extensions else "i"
    head = f"t{_version(hello)}{named}{counts}{_ends(hello.alpn)}"
    return f"{head}_{_digest(_hex(sorted(ciphers)))}_{_digest(offered)}"


def _version(hello: ClientHello) -> str:
    """The highest that is offered."""
    offered = _numbers(hello.extensions.get(_VERSIONS, b"")[1:]) or [hello.version]
    return _NAMES.get(max(offered), "00")


def _ends(alpn: tuple[str, ...]) -> str:
    """The first and last character of the first protocol."""
    first = alpn[0] if alpn else "00"
    if first[0].isalnum() and first[-1].isalnum():
        return first[0] + first[-1]
    data = first.encode().hex()
    return data[0] + data[-1]


def _numbers(data: bytes) -> list[int]:
    pairs = (int.from_bytes(data[at : at + 2]) for at in range(0, len(data) - 1, 2))
    return _without_grease(pairs)


def _without_grease(numbers: Iterable[int]) -> list[int]:
    return [each for each in numbers if each not in _GREASE]


def _hex(numbers: Iterable[int]) -> str:
    return ",".join(f"{each:04x}" for each in numbers)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
