"""A TLS server's first records: whether it speaks TLS at all, and the certificate it shows.

Up to TLS 1.2 the Certificate message goes in clear (RFC 5246 section 7.4.2); in TLS 1.3 it is
encrypted (RFC 8446 section 2), and nothing is said of it. What a certificate tells is a hint: one
that nobody vouches for is common inside companies, and tools let their users bring another.
"""

import re

from firewall.protocols.certificates import Certificate, read_certificate
from firewall.protocols.tls import looks_made_up
from firewall.requests import Finding

_LIMIT = 64 << 10
"""Bytes in which a server's first flight ends; chains are of a few KiB."""

_HEADER = 5
_HANDSHAKE = 22
_FIRST = (21, _HANDSHAKE)
"""An alert, or a handshake."""

_RECORD_LIMIT = (1 << 14) + 2048
_SERVER_HELLO, _CERTIFICATE, _HELLO_DONE = 2, 11, 14
_TLS13 = b"\x00\x2b\x00\x02\x03\x04"
"""The extension by which a server chooses TLS 1.3 (RFC 8446 section 4.2.1)."""

_AFTER_SESSION = 38
"""Where the ServerHello's choices begin at the earliest (RFC 8446 section 4.1.3)."""

_CHAIN_LIMIT = 16
_TOR_ISSUER = re.compile(r"www\.[a-z2-7]{8,20}\.(?:com|net)")


class ServerFlight:
    """Reads a server's bytes from the first one on, until they have told what they can."""

    __slots__ = ("_messages", "_read", "_records", "certificate", "finished")

    def __init__(self) -> None:
        self._records = bytearray()
        self._messages = bytearray()
        self._read = 0
        self.finished = False
        self.certificate: Certificate | None = None

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """What `data` gives away: suspicious at most, but where the server speaks no TLS at all.
        Nobody honest can go on then."""
        if self.finished:
            return ()
        first = self._read < _HEADER
        self._read += len(data)
        self._records += data
        findings = _judge_first(bytes(self._records)) if first and data else ()
        findings = findings or self._take_records()
        self.finished = self.finished or bool(findings) or self._read > _LIMIT
        return findings

    def _take_records(self) -> tuple[Finding, ...]:
        """Join the handshake records; after any other nothing is in clear."""
        while self._records and self._read >= _HEADER and not self.finished:
            end = _HEADER + int.from_bytes(self._records[3:_HEADER])
            if self._records[0] != _HANDSHAKE:
                self.finished = True
            elif len(self._records) < max(_HEADER, end):
                break
            else:
                self._messages += self._records[_HEADER:end]
                del self._records[:end]
                if findings := self._take_messages():
                    return findings
        return ()

    def _take_messages(self) -> tuple[Finding, ...]:
        while len(self._messages) >= 4:
            kind, size = self._messages[0], int.from_bytes(self._messages[1:4])
            if len(self._messages) < 4 + size:
                return ()
            body = bytes(self._messages[4 : 4 + size])
            del self._messages[: 4 + size]
            encrypted = kind == _SERVER_HELLO and _TLS13 in body[_AFTER_SESSION:]
            self.finished = encrypted or kind in (_CERTIFICATE, _HELLO_DONE)
            if kind == _CERTIFICATE:
                self.certificate = _parse_chain(body)
                return _judge(self.certificate) if self.certificate else ()
            if self.finished:
                return ()
        return ()


def _judge_first(head: bytes) -> tuple[Finding, ...]:
    """Whether a stream's first bytes may begin a record (RFC 5246 section 6.2.1)."""
    size = int.from_bytes(head[3:_HEADER])
    fits = head[0] in _FIRST and b"\x03".startswith(head[1:2])
    if fits and (len(head) < _HEADER or 0 < size <= _RECORD_LIMIT):
        return ()
    evidence = "the server answers a ClientHello with what is no TLS record"
    return (Finding("protocol-mismatch", "not-tls", evidence, "first bytes of the server"),)


def _parse_chain(body: bytes) -> Certificate | None:
    """RFC 5246 section 7.4.2: the list's length, then each certificate behind its own."""
    encoded: list[bytes] = []
    at = 3
    while at + 3 <= len(body) and len(encoded) < _CHAIN_LIMIT:
        end = at + 3 + int.from_bytes(body[at : at + 3])
        encoded.append(body[at + 3 : end])
        at = end
    return read_certificate(encoded[0], len(encoded)) if encoded else None


def _judge(seen: Certificate) -> tuple[Finding, ...]:
    """Certificates that tools make for themselves when nobody gives them one."""
    tool, why = _tool(seen)
    if not tool:
        return ()
    return (Finding("tunnel", tool, why, "TLS certificate of the server", "suspicious"),)


def _tool(seen: Certificate) -> tuple[str, str]:
    """frp pkg/transport/tls.go (no name at all); ligolo-ng pkg/tlsutils/selfcert.go; Tor
    src/lib/tls/tortls_openssl.c (www.X.net, issued by www.Y.com or .net)."""
    if seen.self_signed and not seen.subject:
        return "frp", "a self-signed certificate without any name, as frp makes them"
    if seen.self_signed and seen.subject == "O=ligolo":
        return "ligolo-ng", "a self-signed certificate of O=ligolo"
    subject, issuer = seen.subject.removeprefix("CN="), seen.issuer.removeprefix("CN=")
    if not seen.self_signed and _TOR_ISSUER.fullmatch(issuer) and looks_made_up(subject, "net"):
        return "tor", f"a certificate for {subject} from {issuer}, both of which look made up"
    return "", ""
