"""The PROXY protocol's header, which may stand before any stream (HAProxy doc/proxy-protocol.txt).

Version 1 is a line (section 2.1), version 2 binary and of any length (section 2.2), so that nothing
behind it begins a line.
"""

from firewall.protocols.identity import MORE, More

_LINES = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")
"""PROXY alone may be a method of HTTP."""
_LINE_LIMIT = 107
"""Bytes of version 1 with its line break, by section 2.1."""
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
"""Bytes of version 2 before the addresses: signature, version, family, and a length of two."""


def header_end(data: bytes) -> int | More | None:
    """Where the header at the start ends; MORE while that may still show, None where none is."""
    if b"PROXY ".startswith(data[:6]) and any(
        each.startswith(data[: len(each)]) for each in _LINES
    ):
        end = data.find(b"\n", 0, _LINE_LIMIT)
        return end + 1 if end >= 0 else MORE if len(data) < _LINE_LIMIT else None
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return None
    if len(data) < _FIXED:
        return MORE
    end = _FIXED + int.from_bytes(data[14:_FIXED])
    return end if len(data) >= end else MORE
