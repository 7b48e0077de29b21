"""The two readers: what they cut, and what they skip."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.jsonstream import LIMIT, Documents, Lines, decode
from firewall.protocols.mining.hints import Hints

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=3)


@given(
    st.lists(OBJECTS, max_size=4),
    st.sampled_from([None, 1]),
    st.sampled_from(["", " ", "\n", "\0"]),
)
def test_documents_are_cut_whole(values: list[object], indent: int | None, gap: str) -> None:
    data = gap.join(json.dumps(value, indent=indent) for value in values).encode()
    for anywhere in (True, False):
        reader = Documents(anywhere=anywhere)
        cuts = [cut for byte in data for cut in reader.feed(bytes([byte]))]
        assert [json.loads(cut.text) for cut in cuts] == values
        assert all(data[cut.start : cut.end] == cut.text for cut in cuts)
        assert Documents(anywhere=anywhere).feed(data) == cuts


@pytest.mark.parametrize(
    ("data", "anywhere", "strict"),
    [
        (b'x {"a":1}', [], []),
        (b'x\n{"a":1}', [b'{"a":1}'], []),
        (b'{"a":1} x {"b":2}', [b'{"a":1}'], [b'{"a":1}']),
        (b'{"a":1}{"b":2}', [b'{"a":1}', b'{"b":2}'], [b'{"a":1}', b'{"b":2}']),
        (b'{ function() }\n{"b":2}', [b'{"b":2}'], []),
        (b'{"a\n{"b":2}', [b'{"b":2}'], []),
        (b'{"a":"\\\n{"b":2}', [b'{"b":2}'], []),
        (b'{"a":"}\\"}"}', [b'{"a":"}\\"}"}'], [b'{"a":"}\\"}"}']),
        (b"[1,2]\n{}", [b"{}"], []),
        (b'[ {"a":[{}]} ]', [b'[ {"a":[{}]} ]'], [b'[ {"a":[{}]} ]']),
        (b"{\n{}", [b"{}"], []),
    ],
)
def test_where_a_document_begins(data: bytes, anywhere: list[bytes], strict: list[bytes]) -> None:
    assert [cut.text for cut in Documents(anywhere=True).feed(data)] == anywhere
    assert [cut.text for cut in Documents(anywhere=False).feed(data)] == strict


def test_lines_are_cut_at_their_end() -> None:
    reader = Lines()
    assert reader.feed(b'text {"no":1}\n  {"yes":1} rest') == []
    (cut,) = reader.feed(b'\r\n{"open":')
    assert (cut.start, cut.text) == (16, b'{"yes":1} rest\r')


@pytest.mark.parametrize("reader", [Documents(anywhere=True), Lines()])
def test_memory_is_bounded(reader: Documents | Lines) -> None:
    for _ in range(200):
        assert reader.feed(b'{"a":"' + b"x" * 2000) == []
    assert len(reader._text) <= LIMIT + 4096


def test_decode_gives_every_reading_that_differs() -> None:
    values = list(decode(b'{"a":1,"a":2} {"b":[]} x'))
    assert values == [{"a": 2.0}, {"b": []}, {"a": 1.0}]


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 60_000, b"\xff\xfe", b"nope"])
def test_decode_raises_on_nothing(text: bytes) -> None:
    assert list(decode(text)) == []


@pytest.mark.parametrize("size", [1 << 16, 1460])
def test_lines_without_a_hint_are_passed_over_together(size: int) -> None:
    """A gzip of 40 KiB, of nothing but small messages, took forty seconds to cut up."""
    told, lines = b'{"method":"submit"}\n', b'{"a":[{"b":"}c"}],"level":"info"}\n' * 4000
    reader = Documents(anywhere=False, hints=Hints)
    assert [cut.text for cut in reader.feed(told)] == [told.strip()]
    pieces = [lines[at : at + size] for at in range(0, len(lines), size)]
    assert sum(len(reader.feed(piece)) for piece in pieces) <= len(pieces)
    (cut,) = reader.feed(told)
    assert (cut.start, cut.text) == (len(told) + len(lines), told.strip())


def test_what_is_passed_over_is_what_would_be_cut() -> None:
    """No value that does not begin as one, and none beyond the limit."""
    for odd in (b"[1]", b'{"a":"%b"}' % (b"x" * LIMIT)):
        reader = Documents(anywhere=False, hints=Hints)
        reader.feed(b'{"method":"submit"}\n{"a":1}\n')
        assert reader.feed(odd) == []
        assert reader.finished
