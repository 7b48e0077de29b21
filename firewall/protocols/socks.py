"""SOCKS: recognised in first bytes, and version 5 served to those who use the explicit proxy.

SOCKS5 is RFC 1928; SOCKS4 and 4a are the memos "SOCKS: A protocol for TCP proxy across firewalls"
and "SOCKS 4A" by Ying-Da Lee.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from firewall.frozen import frozen
from firewall.protocols.hosts import parse_host
from firewall.protocols.identity import MORE, Answer, Identity, More, ProtocolError
from firewall.requests import Finding

_NO_AUTHENTICATION = 0
_NONE_ACCEPTABLE = 0xFF
_CONNECT = 1
_METHODS_LIMIT = 16
_TEXT_LIMIT = 256


def recognise(data: bytes) -> Answer:
    """Identify a SOCKS client. SOCKS is a tunnel wherever the firewall did not offer it."""
    match data[:1]:
        case b"\x05":
            length = _greeting_length(data)
        case b"\x04":
            length = _socks4_length(data)
        case _:
            return None
    if not isinstance(length, int):
        return length
    version = f"SOCKS{data[0]}"
    finding = Finding(
        "tunnel", "socks", f"{version} client greeting", f"client bytes 0-{length - 1}"
    )
    return Identity("socks", findings=(finding,))


def client_handshake_end(data: bytes) -> int | More | None:
    """Where a client's whole handshake ends and its payload begins.

    Version 5: greeting, perhaps user name and password (RFC 1929), request. None where it is none.
    """
    if data[:1] == b"\x04":
        return _socks4_length(data)
    end = _greeting_length(data)
    if isinstance(end, int) and data[end : end + 1] == b"\x01" and 2 in data[2:end]:
        end = _password_end(data, end + 1)
    return _message_end(data, end) if isinstance(end, int) else end


def server_handshake_end(data: bytes) -> int | More | None:
    """The same for the server: its choice of method, perhaps a status, its reply; or SOCKS4's."""
    if data[:1] == b"\0":
        return _socks4_reply_end(data)
    for choice in (b"\5\0", b"\5\2\1\0"):
        if data[: len(choice)] == choice:
            return _message_end(data, len(choice))
        if choice.startswith(data):
            return MORE
    return None


def _password_end(data: bytes, at: int) -> int | More:
    for _ in range(2):
        if len(data) <= at:
            return MORE
        at += 1 + data[at]
    return at


def _message_end(data: bytes, at: int) -> int | More | None:
    """The end of a request or reply at `at`: version, command, reserved, address, port."""
    message = data[at : at + 5]
    shape = zip(message, (b"\5", bytes(range(10)), b"\0", b"\1\3\4"), strict=False)
    if any(byte not in allowed for byte, allowed in shape):
        return None
    if len(message) < 5:
        return MORE
    end = at + 6 + {1: 4, 3: 1 + message[4], 4: 16}[message[3]]
    return end if len(data) >= end else MORE


def _socks4_reply_end(data: bytes) -> int | More | None:
    """Version 0, then 90 (granted) to 93."""
    if data[1:2] not in (b"", *(bytes([code]) for code in range(90, 94))):
        return None
    return 8 if len(data) >= 8 else MORE


def _greeting_length(data: bytes) -> int | More | None:
    """A version 5 greeting: the number of methods, then those, none twice, none reserved.

    RFC 1928 section 3 and IANA's list: 0x0A to 0x7F is unassigned.
    """
    count = data[1] if len(data) > 1 else 1
    methods = data[2 : 2 + count]
    if not 1 <= count <= _METHODS_LIMIT or len(set(methods)) < len(methods):
        return None
    if any(0x0A <= method < 0x80 for method in methods):
        return None
    return 2 + count if len(methods) == count else MORE


def _socks4_length(data: bytes) -> int | More | None:
    """A version 4 request: command, port, address, user, and for 4a (0.0.0.x) a host name."""
    if data[1:2] not in (b"", b"\x01", b"\x02") or data[2:4] == b"\0\0":
        return None
    if len(data) < 8:
        return MORE
    end = _text_end(data, 8)
    named = data[4:7] == b"\0\0\0" and data[7] != 0
    return _text_end(data, end) if named and isinstance(end, int) else end


def _text_end(data: bytes, start: int) -> int | More | None:
    end = data.find(b"\0", start, start + _TEXT_LIMIT)
    text = data[start : end if end >= 0 else start + _TEXT_LIMIT]
    if not all(0x20 < byte < 0x7F for byte in text):
        return None
    if end >= 0:
        return end + 1
    return MORE if len(text) < _TEXT_LIMIT else None


class Reply(IntEnum):
    """Those values of the reply field (RFC 1928 section 6) that are ever sent."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8


@frozen
class Send:
    """Send these bytes to the client."""

    data: bytes


@frozen
class Target:
    """The client asks for this host and port; tell it with `answer` whether it gets there."""

    host: str
    port: int


@frozen
class Refusal:
    """Send these bytes, then close. `reason` says why, for the log."""

    data: bytes
    reason: str


type Event = Send | Target | Refusal


@dataclass
class Socks5Server:
    """The server's side of one SOCKS5 handshake: no authentication, CONNECT only.

    Feed it what the client sends until it answers with a `Target` or a `Refusal`. Bytes that the
    client sent beyond its request wait in `rest`.
    """

    rest: bytes = b""
    _greeted: bool = field(default=False, init=False)
    _done: bool = field(default=False, init=False)

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes from the client; returns what to do, in order."""
        self.rest += data
        events: list[Event] = []
        try:
            if not self._greeted:
                events += self._read_greeting()
            if self._greeted and not self._done:
                events += self._read_request()
        except _RefusedError as refused:
            self._done = True
            self._greeted = True
            events.append(Refusal(refused.data, str(refused)))
        return events

    def _read_greeting(self) -> list[Event]:
        _expect_version(self.rest, b"")
        if len(self.rest) < 2 or len(self.rest) < 2 + self.rest[1]:
            return []
        methods, self.rest = self.rest[2 : 2 + self.rest[1]], self.rest[2 + self.rest[1] :]
        if _NO_AUTHENTICATION not in methods:
            reason = "the client wants to authenticate; this proxy takes no passwords"
            raise _RefusedError(bytes([5, _NONE_ACCEPTABLE]), reason)
        self._greeted = True
        return [Send(bytes([5, _NO_AUTHENTICATION]))]

    def _read_request(self) -> list[Event]:
        _expect_version(self.rest, answer(Reply.GENERAL_FAILURE))
        if len(self.rest) < 5:
            return []
        if self.rest[1] != _CONNECT:
            reason = f"SOCKS command {self.rest[1]}; only CONNECT is served"
            raise _RefusedError(answer(Reply.COMMAND_NOT_SUPPORTED), reason)
        start, end = _address_span(self.rest)
        if len(self.rest) < end + 2:
            return []
        host = _parse_address(self.rest[3], self.rest[start:end])
        port = int.from_bytes(self.rest[end : end + 2])
        if port == 0:
            raise _RefusedError(answer(Reply.GENERAL_FAILURE), "port 0 names no service")
        self.rest = self.rest[end + 2 :]
        self._done = True
        return [Target(host, port)]


def answer(reply: Reply) -> bytes:
    """The bytes of a reply (RFC 1928 section 6). The bound address is not told."""
    return bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0])


class _RefusedError(ProtocolError):
    def __init__(self, data: bytes, reason: str) -> None:
        super().__init__(reason)
        self.data = data


def _expect_version(data: bytes, reply: bytes) -> None:
    if data[:1] not in (b"", b"\x05"):
        raise _RefusedError(reply, f"SOCKS version {data[0]}; only version 5 is served")


def _address_span(request: bytes) -> tuple[int, int]:
    match request[3]:
        case 1:
            return 4, 8
        case 3:
            return 5, 5 + request[4]
        case 4:
            return 4, 20
        case kind:
            raise _RefusedError(answer(Reply.ADDRESS_NOT_SUPPORTED), f"SOCKS address type {kind}")


def _parse_address(kind: int, data: bytes) -> str:
    if kind == 1:
        return str(IPv4Address(data))
    if kind == 4:
        return str(IPv6Address(data))
    try:
        return parse_host(data.decode("ascii", "replace"))
    except ProtocolError as error:
        raise _RefusedError(answer(Reply.ADDRESS_NOT_SUPPORTED), str(error)) from None
