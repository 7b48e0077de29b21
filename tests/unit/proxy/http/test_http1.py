"""Chunks as mitmproxy reads them: the firewall's own reading, whatever the pieces."""

import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.http1body import Chunked
from firewall.proxy.http.http1 import Chunks

SOUND = b"4\r\nbody\r\n3;a=b\r\n123\r\n0\r\nX: y\r\n\r\n"
PARTS = st.sampled_from(
    [b"4\r\nbody\r\n", b"0\r\n", b"\r\n", b"X: y\r\n", b"-1\r\n", b"\n", b"next"]
)


def read(pieces: list[bytes]) -> tuple[bytes, bool, bytes, str]:
    """The content, whether it has ended, what follows it, and what was wrong."""
    reader, buf, content, ended = Chunks(), ReceiveBuffer(), b"", False
    for piece in pieces:
        buf += piece
        try:
            while not ended and (event := reader(buf)) is not None:
                ended = isinstance(event, h11.EndOfMessage)
                content += event.data if isinstance(event, h11.Data) else b""
        except h11.RemoteProtocolError:
            return content, False, b"", str(reader.fault)
    return content, ended, bytes(buf), ""


@given(st.lists(PARTS, max_size=8).map(b"".join), st.integers(1, 9))
def test_reads_as_the_lane_does(data: bytes, size: int) -> None:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    body, content, wrong = Chunked(), b"", ""
    try:
        for piece in pieces:
            if not body.finished:
                content += body.feed(piece)
    except ProtocolError as error:
        wrong = str(error)
    assert read(pieces)[:2] == (content, body.finished and not wrong)
    assert read(pieces)[3] == wrong


def test_leaves_what_follows() -> None:
    assert read([SOUND + b"GET /"]) == (b"body123", True, b"GET /", "")


def test_an_end_before_the_last_chunk_is_an_error() -> None:
    with pytest.raises(h11.RemoteProtocolError, match="before its last chunk"):
        Chunks().read_eof()
