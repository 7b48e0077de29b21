"""Request heads: strict parsing, lenient recognition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import Identity, ProtocolError, identify
from firewall.protocols.http1 import FIELD, LIMIT, parse_answer, parse_head

GET = b"GET /a?b HTTP/1.1\r\nHost: a.example:8080\r\nX-One:  1 \t\r\nx-one: 2\r\n\r\nbody"


def test_parses_a_head() -> None:
    head = parse_head(GET)
    assert head is not None
    assert (head.method, head.target, head.version) == ("GET", "/a?b", "HTTP/1.1")
    assert head.values(b"x-one") == [b"1", b"2"]
    assert GET[head.length :] == b"body"


@pytest.mark.parametrize("target", ["/ü", "/\udcff", "https://ü.test/"])
def test_a_target_need_not_be_ascii(target: str) -> None:
    raw = target.encode("utf-8", "surrogateescape")
    head = parse_head(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % raw)
    assert head is not None
    assert head.target == target


def test_waits_for_the_end() -> None:
    end = GET.index(b"body")
    assert all(parse_head(GET[:size]) is None for size in range(end))


MALFORMED = {
    "no version": (b"GET /\r\n\r\n", "request line"),
    "two blanks": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "request line"),
    "version": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "request line"),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "only OPTIONS"),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", "CR LF"),
    "a length that is for one hop": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\n\r\n",
        "Connection names content-length",
    ),
    "leading zero": (b"GET / HTTP/1.0\r\nContent-Length: 01\r\n\r\n", "Content-Length"),
    "bare line feed": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "request line"),
    "folded": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "header line 2"),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "header line 1"),
    "no colon": (b"GET / HTTP/1.1\r\nHost\r\n\r\n", "header line 1"),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", "header line 1"),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "header line 1"),
    "no host": (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", "0 Host headers"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "2 Host headers"),
    "two lengths": (b"GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Length"),
    "signed length": (b"GET / HTTP/1.0\r\nContent-Length: +1\r\n\r\n", "Content-Length"),
    "both": (
        b"GET / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "one of them",
    ),
    "coding": (
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "only Transfer",
    ),
    "coding in HTTP/1.0": (
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 knows no",
    ),
    "too long": (b"GET / HTTP/1.0\r\nA: " + b"b" * LIMIT, "longer than"),
}


@pytest.mark.parametrize(("data", "reason"), list(MALFORMED.values()), ids=list(MALFORMED))
def test_refuses(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parse_head(data)


def test_a_malformed_head_is_http() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    assert identify(data) == Identity("http")


@given(st.binary(max_size=200))
def test_raises_nothing_else(data: bytes) -> None:
    try:
        head = parse_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n")
    except ProtocolError:
        return
    assert head is not None
    assert all(b"\r" not in value and b"\n" not in value for _, value in head.headers)


LINES = st.lists(
    st.sampled_from(
        [b"A: b", b"A:b ", b"A:\tb\t", b"A:", b"a b: c", b": d", b"e", b"f: \xfc", b"\n"]
    )
    | st.binary(max_size=6),
    max_size=5,
)


@given(LINES)
def test_fields_are_read_line_by_line(lines: list[bytes]) -> None:
    """All lines are read by one pattern: it must take what each line alone is, and nothing else."""
    data = b"".join(line + b"\r\n" for line in (b"GET / HTTP/1.0", *lines)) + b"\r\n"
    data = data[: data.index(b"\r\n\r\n") + 4]
    alone = [FIELD.fullmatch(line) for line in data[:-4].split(b"\r\n")[1:]]
    if None in alone:
        with pytest.raises(ProtocolError, match=r"header line|CR LF"):
            parse_head(data)
        return
    head = parse_head(data)
    assert head is not None
    assert head.headers == tuple((each[1], each[2].rstrip(b" \t")) for each in alone if each)


def test_answers_that_differ_in_their_first_line_alone_are_told_apart() -> None:
    first, second = (parse_answer(b"HTTP/1.1 %b\r\n\r\n" % line) for line in (b"200 A", b"404 A"))
    assert first is not None
    assert len({first: 1, second: 2}) == 2
    assert parse_answer(b"HTTP/1.1 200 A\r\n\r\nmore") is first
