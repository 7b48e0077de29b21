"""One direction of HTTP/2 without TLS (RFC 9113): its heads judged, and its streams' data read.

Each direction is read by itself, so what a peer's settings allow is not known: the tables of HPACK
may be larger than the usual, and frames up to 64 KiB are read; longer ones are passed over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hpack import Decoder, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PushPromiseFrame

from firewall.protocols.content import Content
from firewall.protocols.grpc import Pieces
from firewall.protocols.heads import inspect_request, inspect_response
from firewall.protocols.marks import MakeReader, Mark, Reader
from firewall.requests import Direction, Finding

LIMIT = 64 << 10
"""Bytes of one frame, of one header block, and of HPACK's table."""
STREAMS = 32
"""Streams that are read at once; the oldest gives way to one more."""

_HEADER = 9
_GRPC = b"application/grpc"


class _BrokenError(Exception):
    """Nothing more can be read: HPACK needs every header block."""


class Http2:
    """Reads frames from byte `start` of a stream on, until it is broken.

    `make` makes what reads a stream's data: HTTP's bodies, gRPC's messages, or a tunnel's bytes.
    """

    def __init__(self, direction: Direction, start: int, make: MakeReader) -> None:
        self._direction: Direction = direction
        self._at = start
        self._make = make
        self._held = b""
        self._skip = 0
        self._broken = False
        self._decoder = Decoder(max_header_list_size=LIMIT)
        self._decoder.max_allowed_table_size = LIMIT
        self._block: tuple[HeadersFrame | PushPromiseFrame, bytes] | None = None
        self._streams: dict[int, _Data] = {}

    def feed(self, data: bytes) -> list[Mark]:
        """The findings that `data` completes."""
        if self._broken:
            return []
        if self._skip:
            data = data[self._pass_over(len(data), self._skip) :]
        self._held += data
        marks: list[Mark] = []
        try:
            for frame in self._frames():
                marks += self._read(frame)
        except (_BrokenError, HyperframeError, HPACKError):
            self._broken, self._held = True, b""
            self._streams.clear()
        return marks

    def _frames(self) -> Iterator[Frame]:
        """The frames that are complete."""
        held, at = self._held, 0
        while (body := at + _HEADER) <= len(held):
            frame, size = Frame.parse_frame_header(memoryview(held[at:body]))
            if size > LIMIT and isinstance(frame, DataFrame):
                at += self._pass_over(len(held) - at, _HEADER + size)
            elif size > LIMIT:
                raise _BrokenError
            elif len(held) < body + size:
                break
            else:
                frame.parse_body(memoryview(held[body : body + size]))
                at = body + size
                self._at += _HEADER + size
                yield frame
        self._held = held[at:]

    def _pass_over(self, there: int, size: int) -> int:
        """Skip so many bytes, now and as they come; how many of them are there."""
        taken = min(there, size)
        self._skip = size - taken
        self._at += taken
        return taken

    def _read(self, frame: Frame) -> Iterable[Mark]:
        if self._block is not None and not isinstance(frame, ContinuationFrame):
            raise _BrokenError  # RFC 9113 section 6.10: nothing may come between
        if isinstance(frame, DataFrame):
            return self._content(frame)
        if isinstance(frame, HeadersFrame | PushPromiseFrame):
            self._block = frame, frame.data
        elif isinstance(frame, ContinuationFrame):
            if self._block is None or len(self._block[1]) + len(frame.data) > LIMIT:
                raise _BrokenError
            self._block = self._block[0], self._block[1] + frame.data
        else:
            return ()
        return self._head() if "END_HEADERS" in frame.flags else ()

    def _head(self) -> list[Mark]:
        """A header block is complete: a head, or trailers."""
        assert self._block is not None
        (frame, block), self._block = self._block, None
        headers = [
            (bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)
        ]
        fields = dict(headers)
        number = frame.stream_id
        if isinstance(frame, HeadersFrame) and (b":method" in fields or b":status" in fields):
            self._open(number, fields)
        marks = [self._mark(number, each) for each in _inspect(headers, fields)]
        if "END_STREAM" in frame.flags:
            self._streams.pop(number, None)
        return marks

    def _open(self, number: int, fields: dict[bytes, bytes]) -> None:
        self._streams.pop(number, None)
        while len(self._streams) >= STREAMS:
            del self._streams[next(iter(self._streams))]
        self._streams[number] = _Data(fields, self._make)

    def _content(self, frame: DataFrame) -> list[Mark]:
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            return []
        ends = "END_STREAM" in frame.flags
        found = stream.read(frame.data, end=ends)
        if ends:
            del self._streams[frame.stream_id]
        return [self._mark(frame.stream_id, each.finding) for each in found]

    def _mark(self, number: int, finding: Finding) -> Mark:
        where = f"HTTP/2 stream {number}, {finding.where}"
        return Mark(self._at, replace(finding, where=where))


class _Data:
    """The data of one stream in one direction, read as what its head says that it is."""

    def __init__(self, fields: dict[bytes, bytes], make: MakeReader) -> None:
        grpc = fields.get(b"content-type", b"").lower().startswith(_GRPC)
        self._pieces = Pieces() if grpc else None
        carrier = _carrier(fields, grpc=grpc)
        encoding = fields.get(b"content-encoding", b"").decode("latin-1")
        plain = carrier == "http body"
        self._reader: Reader = Content(make, 0, encoding) if plain else make(carrier, 0)

    def read(self, data: bytes, *, end: bool) -> list[Mark]:
        if self._pieces is None:
            return self._reader.read(data, end=end)
        return [mark for piece in self._pieces.feed(data) for mark in self._reader.read(piece)]


def _carrier(fields: dict[bytes, bytes], *, grpc: bool) -> str:
    """What carries the data: CONNECT alone opens a tunnel (RFC 9113 section 8.5)."""
    if fields.get(b":method") == b"CONNECT" and b":protocol" not in fields:
        return "tcp stream"
    return "grpc" if grpc else "http body"


def _inspect(headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> tuple[Finding, ...]:
    if b":method" not in fields:
        return inspect_response(headers)
    method, target = (fields.get(name, b"").decode("latin-1") for name in (b":method", b":path"))
    target = fields.get(b":authority", b"").decode("latin-1") if method == "CONNECT" else target
    return inspect_request(method, target, headers)
