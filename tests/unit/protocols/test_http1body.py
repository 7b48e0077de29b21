"""Bodies are cut out of the stream one way only, however the bytes are cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.http1 import parse_answer
from firewall.protocols.http1body import EXTRA_LIMIT, LINE_LIMIT, Chunked, Counted, Open


def fed(body: Chunked | Counted, data: bytes, size: int) -> tuple[bytes, bytes, bool] | str:
    """The content, what follows it, and whether it is complete; or why it is none."""
    content, rest = b"", b""
    try:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            if body.finished:
                rest += piece
            else:
                content += body.feed(piece)
                rest = body.rest
    except ProtocolError as error:
        return str(error)
    return content, rest, body.finished


def test_a_counted_body_ends_where_it_says() -> None:
    assert fed(Counted(4), b"bodyGET /", 100) == (b"body", b"GET /", True)
    with pytest.raises(ProtocolError, match="4 bytes too early"):
        Counted(4).end()


def test_chunks_are_joined_and_what_follows_them_is_left() -> None:
    said = b"4;a=b\r\nbody\r\n00\r\nX-A: b\r\n\r\nGET /"
    assert fed(Chunked(), said, 100) == (b"body", b"GET /", True)
    with pytest.raises(ProtocolError, match="before its last chunk"):
        Chunked().end()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"zz\r\n", "malformed chunk size"),
        (b"-4\r\nbody\r\n", "malformed chunk size"),
        (b"0x4\r\nbody\r\n", "malformed chunk size"),
        (b" 4\r\nbody\r\n", "malformed chunk size"),
        (b"\r\n", "malformed chunk size"),
        (b"1" * 16 + b"\r\n", "malformed chunk size"),
        (b"4\nbody\r\n", "does not end with CR LF"),
        (b"4\r;\r\nbody\r\n", "does not end with CR LF"),
        (b"4\r\nbodyX", "longer than its size"),
        (b"4\r\nbody\n0\r\n\r\n", "longer than its size"),
        (b"0\r\nX A: b\r\n\r\n", "malformed trailer"),
        (b"0\r\n folded: b\r\n\r\n", "malformed trailer"),
        (b"4;" + b"x" * LINE_LIMIT, "a line between chunks is longer"),
        (b"1;%b\r\nx\r\n" % (b"y" * 1000) * (EXTRA_LIMIT // 1000 + 1), "extensions and trailers"),
    ],
)
def test_chunks_that_are_not_sound(said: bytes, why: str) -> None:
    for size in (1, 3, len(said)):
        answer = fed(Chunked(), said, size)
        assert isinstance(answer, str)
        assert why in answer


def test_an_open_body_ends_with_the_stream() -> None:
    body = Open()
    assert body.feed(b"anything") == b"anything"
    assert not body.finished
    body.end()
    assert body.finished


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4), st.binary(max_size=10),
       st.integers(1, 50))  # fmt: skip
def test_what_is_written_in_chunks_is_read(pieces: list[bytes], rest: bytes, size: int) -> None:
    said = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n" + rest
    assert fed(Chunked(), said, size) == (b"".join(pieces), rest, True)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_are_read_alike_however_cut(said: bytes, size: int) -> None:
    whole = fed(Chunked(), said, max(1, len(said)))
    cut = fed(Chunked(), said, size)
    assert isinstance(whole, str) == isinstance(cut, str)
    if not isinstance(whole, str):
        assert whole == cut


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"HTTP/2 200\r\n\r\n", "status line"),
        (b"SSH-2.0-x\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "malformed header line 1"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "malformed header line 2"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", "only Transfer-Encoding: chunked"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "longer than"),
    ],
)
def test_an_answer_that_is_not_sound(said: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        parse_answer(said)


def test_an_answer_without_a_reason_is_read() -> None:
    answer = parse_answer(b"HTTP/1.1 200\r\nA: b\r\n\r\nbody")
    assert answer is not None
    assert (answer.status, answer.reason, answer.headers) == (200, b"", ((b"A", b"b"),))
    assert parse_answer(b"HTTP/1.1 200 OK\r\nA: b\r\n") is None
