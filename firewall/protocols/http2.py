"""The HTTP/2 connection preface (RFC 9113 section 3.4)."""

from firewall.protocols.identity import MORE, Answer, Identity

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def recognise(data: bytes) -> Answer:
    """Identify HTTP/2 without TLS ("prior knowledge")."""
    if data.startswith(PREFACE):
        return Identity("http2")
    return MORE if PREFACE.startswith(data) else None
