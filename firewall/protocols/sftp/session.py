"""One SFTP session, followed in both directions."""

from firewall.protocols.files import Denial, FileRequest, Packet
from firewall.protocols.identity import ProtocolError
from firewall.protocols.sftp.replies import (
    EXPECTED,
    filter_extensions,
    first_name,
    read_reply,
)
from firewall.protocols.sftp.requests import EXTENSIONS, READERS, Asked, Reader, Use
from firewall.protocols.sftp.wire import VERSION, Code, Fields, Frames, Kind, denied, packet, status

_WAITING_LIMIT = 1 << 16
"""Requests without a reply. OpenSSH keeps 64 and paramiko, unasked, as many as a file needs."""

_OPEN_LIMIT = 1024
"""Files and directories open or being opened, as sftp-server has descriptors for."""

_HANDLE_LIMIT = 256
"""Bytes of a handle (draft-ietf-secsh-filexfer-02 section 6.2)."""

_NO_HANDLE = "the server gave no such handle"
_UNSUPPORTED = "this SFTP extension is not relayed by the firewall"


class Session:
    """A `Transfer` of SFTP version 3.

    Requests that name paths carry them in `requests`. Those through a handle rely on its having
    been opened, and carry a request only for what it was not opened for: to write, or to change
    attributes, through a handle that was opened for reading. Unknown extensions and handles that
    the server never gave are answered here. A client that asks for a newer version is held to 3.

    Kept are one incomplete packet each way, the ids without a reply, and the open handles' paths.
    """

    def __init__(self) -> None:
        self._from_client, self._from_server = Frames(), Frames()
        self._greeted = self._agreed = False
        self._waiting: dict[int, tuple[Kind, ...]] = {}
        self._opening: dict[int, tuple[FileRequest, ...]] = {}
        self._handles: dict[bytes, tuple[FileRequest, ...]] = {}
        self._seeking_home: int | None = None
        self.home = ""

    @property
    def waiting(self) -> int:
        """Requests without a reply. Read no more from a client that has thousands of them."""
        return len(self._waiting)

    def feed_client(self, data: bytes) -> list[Packet]:
        """Take bytes from the client; returns whole packets to judge and send on."""
        return [self._read_request(raw) for raw in self._from_client.feed(data)]

    def feed_server(self, data: bytes) -> list[Packet]:
        """Take bytes from the server; returns whole packets to send on."""
        return [self._read_reply(raw) for raw in self._from_server.feed(data)]

    def allow(self, packet: Packet) -> None:
        """Expect the server's reply to a packet with requests, and no earlier."""
        assert packet.request_id is not None
        self._expect(packet.request_id, packet.raw[4])
        if packet.raw[4] in (Kind.OPEN, Kind.OPENDIR):
            self._opening[packet.request_id] = packet.requests
            if len(self._opening) + len(self._handles) > _OPEN_LIMIT:
                raise ProtocolError(f"more than {_OPEN_LIMIT} files open in one SFTP session")

    def deny(self, packet: Packet, text: str) -> Denial:
        """The client is told; the server never knows."""
        assert packet.request_id is not None
        return Denial(to_client=denied(packet.request_id, text))

    def _read_request(self, raw: bytes) -> Packet:
        fields = Fields(raw)
        if fields.kind == Kind.INIT:
            return self._read_init(fields)
        if not self._agreed:
            raise ProtocolError(f"SFTP request {fields.kind} before a version was agreed on")
        request_id = fields.number()
        if reader := _choose_reader(fields):
            asked = reader(fields)
            fields.end()
            return self._resolve(raw, request_id, asked)
        return Packet(raw, request_id, answer=status(request_id, Code.OP_UNSUPPORTED, _UNSUPPORTED))

    def _resolve(self, raw: bytes, request_id: int, asked: Asked) -> Packet:
        """The packet of a request, once its handles are known to be the server's."""
        if any(use.handle not in self._handles for use in asked.uses):
            return Packet(raw, request_id, answer=status(request_id, Code.FAILURE, _NO_HANDLE))
        requests = asked.requests + tuple(
            request for use in asked.uses for request in self._beyond(use)
        )
        if not requests:
            self._expect(request_id, raw[4])
            self._seeking_home = request_id if raw[4] == Kind.REALPATH else self._seeking_home
        if raw[4] == Kind.CLOSE:
            del self._handles[asked.uses[0].handle]
        return Packet(raw, request_id, requests, asked.size)

    def _beyond(self, use: Use) -> tuple[FileRequest, ...]:
        """What a use asks for beyond what its handle was opened for."""
        opened = self._handles[use.handle]
        if use.operation is None or any(use.operation == each.operation for each in opened):
            return ()
        return (FileRequest(use.operation, use.verb, opened[0].path),)

    def _expect(self, request_id: int, kind: int) -> None:
        if request_id in self._waiting:
            raise ProtocolError(f"SFTP request id {request_id} is used again before its reply")
        if len(self._waiting) >= _WAITING_LIMIT:
            raise ProtocolError(f"more than {_WAITING_LIMIT} SFTP requests without a reply")
        self._waiting[request_id] = EXPECTED.get(kind, (Kind.STATUS,))

    def _read_init(self, fields: Fields) -> Packet:
        """Extensions that a client names are left out: version 3 has none from that side."""
        version = fields.number()
        if self._greeted or version < VERSION:
            raise ProtocolError(f"SFTP version {version}; version {VERSION} is relayed, asked once")
        self._greeted = True
        return Packet(packet(Kind.INIT, VERSION))

    def _read_reply(self, raw: bytes) -> Packet:
        fields = Fields(raw)
        if fields.kind == Kind.VERSION:
            return self._read_version(fields)
        request_id = fields.number()
        expected = self._waiting.pop(request_id, None)
        opened = self._opening.pop(request_id, ())
        if expected is None or fields.kind not in expected:
            raise ProtocolError(_unexpected(request_id, fields.kind, expected or ()))
        if fields.kind == Kind.HANDLE:
            self._bind(fields, opened)
        if fields.kind == Kind.NAME and request_id == self._seeking_home:
            self.home = first_name(raw).rstrip("/")
        return Packet(raw, request_id, size=read_reply(fields))

    def _read_version(self, fields: Fields) -> Packet:
        version = fields.number()
        if not self._greeted or self._agreed or version != VERSION:
            raise ProtocolError(f"the server says SFTP version {version}; expected {VERSION}, once")
        self._agreed = True
        return Packet(filter_extensions(fields))

    def _bind(self, fields: Fields, opened: tuple[FileRequest, ...]) -> None:
        handle = fields.string()
        if handle in self._handles or len(handle) > _HANDLE_LIMIT:
            raise ProtocolError("the server gives an SFTP handle twice, or one that is too long")
        self._handles[handle] = opened


def _choose_reader(fields: Fields) -> Reader | None:
    """The reader of a request; None for an extension that is not understood."""
    if fields.kind == Kind.EXTENDED:
        return EXTENSIONS.get(fields.string(), (b"", None))[1]
    if fields.kind not in READERS:
        raise ProtocolError(f"SFTP packet type {fields.kind} is not one that a client sends")
    return READERS[fields.kind]


def _unexpected(request_id: int, kind: int, expected: tuple[Kind, ...]) -> str:
    wanted = " or ".join(each.name for each in expected) or "no reply, as it waits for none"
    return f"the server answers SFTP request {request_id} with type {kind}; expected {wanted}"
