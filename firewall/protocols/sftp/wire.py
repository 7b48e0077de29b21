"""SFTP's packets and fields (draft-ietf-secsh-filexfer-02 sections 3, 5 and 7)."""

from enum import IntEnum

from firewall.protocols.files import decode_path
from firewall.protocols.identity import ProtocolError
from firewall.protocols.ssh import screen_text

VERSION = 3

_PACKET_LIMIT = 256 << 10
"""Bytes of a packet after its length (OpenSSH sftp-common.h, SFTP_MAX_MSG_LENGTH)."""

_SIZE, _OWNER, _PERMISSIONS, _TIMES, _EXTENDED = 1, 2, 4, 8, 1 << 31
_ATTRIBUTES = _SIZE | _OWNER | _PERMISSIONS | _TIMES | _EXTENDED


class Kind(IntEnum):
    """Packet types (section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Code(IntEnum):
    """Those status codes (section 7) that are ever sent."""

    PERMISSION_DENIED = 3
    FAILURE = 4
    OP_UNSUPPORTED = 8


class Frames:
    """Cuts one direction into whole packets; keeps no more than one that is incomplete."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that `data` completes, each with its length in front."""
        self._held += data
        packets, start = [], 0
        while end := self._packet_end(start):
            packets.append(bytes(self._held[start:end]))
            start = end
        del self._held[:start]
        return packets

    def _packet_end(self, start: int) -> int | None:
        if len(self._held) < start + 4:
            return None
        length = int.from_bytes(self._held[start : start + 4])
        if not 1 <= length <= _PACKET_LIMIT:
            raise ProtocolError(f"an SFTP packet of {length} bytes; 1 to {_PACKET_LIMIT} are valid")
        end = start + 4 + length
        return end if end <= len(self._held) else None


class Fields:
    """Reads the fields of one packet in order, from behind its type on."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 5
        self.kind = packet[4]

    def number(self, size: int = 4) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self._take(size))

    def string(self) -> bytes:
        """A string."""
        return self._take(self.number())

    def path(self) -> str:
        """A string that is a path."""
        return decode_path(self.string())

    def skip(self, size: int) -> int:
        """Pass over `size` bytes, and say how many they are."""
        self._at += size
        if self._at > len(self._packet):
            raise ProtocolError(f"SFTP packet of type {self.kind} ends in the middle of a field")
        return size

    def skip_string(self) -> int:
        """Pass over a string, and say how long it is."""
        return self.skip(self.number())

    def skip_attributes(self) -> None:
        """Pass over a file's attributes (section 5)."""
        flags = self.number()
        if flags & ~_ATTRIBUTES:
            raise ProtocolError(f"file attributes {flags:#x} are not of SFTP version 3")
        for flag, size in ((_SIZE, 8), (_OWNER, 8), (_PERMISSIONS, 4), (_TIMES, 8)):
            self.skip(size if flags & flag else 0)
        for _ in range(self.number() if flags & _EXTENDED else 0):
            self.skip_string()
            self.skip_string()

    def skip_rest(self) -> None:
        """Pass over all that is left."""
        self._at = len(self._packet)

    def more(self) -> bool:
        """Whether another field follows."""
        return self._at < len(self._packet)

    def end(self) -> None:
        """Insist that the packet ends here."""
        if self.more():
            extra = len(self._packet) - self._at
            raise ProtocolError(f"SFTP packet of type {self.kind} has {extra} bytes too many")

    def _take(self, size: int) -> bytes:
        start = self._at
        self.skip(size)
        return self._packet[start : self._at]


def packet(kind: Kind, *fields: int | bytes) -> bytes:
    """A packet with these fields: numbers of 4 bytes, and strings."""
    body = bytes([kind]) + b"".join(
        field.to_bytes(4) if isinstance(field, int) else len(field).to_bytes(4) + field
        for field in fields
    )
    return len(body).to_bytes(4) + body


def status(request_id: int, code: Code, text: str) -> bytes:
    """An answer to the client without the server: `code`, explained by `text`."""
    return packet(Kind.STATUS, request_id, code, screen_text(text), b"")


def denied(request_id: int, text: str) -> bytes:
    """The answer to a request that the policy denies."""
    return status(request_id, Code.PERMISSION_DENIED, text)
