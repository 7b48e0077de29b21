"""How HTTP/2 without TLS begins ("prior knowledge"; RFC 9113 sections 3.3 and 3.4)."""

from firewall.protocols.identity import MORE, Answer, Identity

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_SETTING = 6
_FRAME = bytes((4, 0, 0, 0, 0, 0))
"""The rest of a SETTINGS frame's header: type, flags and stream 0 (section 6.5)."""


def recognise(data: bytes) -> Answer:
    """Identify it by the client's connection preface."""
    if data.startswith(PREFACE):
        return Identity("http2")
    return MORE if PREFACE.startswith(data) else None


def recognise_server(data: bytes) -> Answer:
    """Identify it by the SETTINGS frame that a server begins with, of fewer than 256 bytes."""
    size, rest = data[:3], data[3 : 3 + len(_FRAME)]
    if any(size[:2]) or (len(size) == 3 and size[2] % _SETTING) or not _FRAME.startswith(rest):
        return None
    return Identity("http2") if len(rest) == len(_FRAME) else MORE
