"""Keys are found in every coding, whole or byte by byte, wherever they begin."""

import base64
import re
import time
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.keyformats import FORMATS, NAMES, SPAN
from firewall.protocols import leakstream
from firewall.protocols.leaks import _BEFORE, LURES, Coding, Leak, _parts, finder
from firewall.protocols.leakstream import Leaks
from tests.unit.leaky import KEYS

FINDER = finder(NAMES)
TOKEN = KEYS["github"].encode()
CODINGS: dict[str, tuple[Coding, Callable[[bytes], bytes]]] = {
    "raw": ("", bytes),
    "base64": ("base64", base64.b64encode),
    "base64 in lines": ("base64", base64.encodebytes),
    "base64 for URLs": ("base64", base64.urlsafe_b64encode),
    "hex": ("hex", lambda data: data.hex().encode()),
    "HEX": ("hex", lambda data: data.hex().upper().encode()),
    "percent": ("percent-encoding", lambda data: b"".join(b"%%%02x" % each for each in data)),
    "a form's": ("", lambda data: quote(data).encode()),
}  # fmt: skip
LETTERS = str.maketrans("0123456789", "KLMNOPQRST")
SURE = sorted(set(NAMES) - {"google", "jwt", "aws-key-id"})


def whole(data: bytes) -> list[Leak]:
    return Leaks(FINDER).feed(data)


def bytewise(data: bytes) -> list[Leak]:
    leaks = Leaks(FINDER)
    return [leak for each in data for leak in leaks.feed(bytes([each]))]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("offset", range(4))
def test_a_token_is_found_wherever_it_begins(coding: str, offset: int) -> None:
    name, encode = CODINGS[coding]
    data = b'{"x": "' + encode(b"x" * offset + b" " + TOKEN + b"\nand so on" * 9) + b'"}'
    (leak,) = whole(data)
    assert (leak.format.name, leak.secret, leak.coding) == ("github", TOKEN, name)
    assert bytewise(data) == [leak]
    if leak.coding == "":
        assert data[leak.at :].startswith(TOKEN)


@pytest.mark.parametrize("name", SURE)
@pytest.mark.parametrize("coding", CODINGS)
def test_every_format_is_found_in_every_coding(name: str, coding: str) -> None:
    data = CODINGS[coding][1](f'key: "{KEYS[name]}"\n'.encode())
    assert name in {each.format.name for each in whole(data)}


def test_what_ends_with_the_stream_is_found() -> None:
    for name in SURE:
        assert name in {each.format.name for each in whole(KEYS[name].encode())}


def test_json_escapes_hide_nothing() -> None:
    key = KEYS["private-key"].replace("\n", "\\n").replace("/", "\\/")
    text = f'{{"content": "a\\n{KEYS["gitlab"]}", "private_key": "{key}"}}'
    assert {each.format.name for each in whole(text.encode())} == {"gitlab", "private-key"}


def test_a_lure_in_front_of_a_key_hides_nothing() -> None:
    lure = b"ghp_" + b"aB3" * 11 + TOKEN
    assert [each.secret for each in whole(lure)] == [TOKEN]
    assert [each.secret for each in bytewise(lure)] == [TOKEN]


def test_a_crowd_of_lures_is_told_where_a_key_may_stand_behind_it() -> None:
    """To look at each took a second of a MiB. Fed in small pieces no crowd comes together."""
    crowd = b"".join(b"ghp_%036d " % each for each in range(LURES + 1)) + TOKEN
    assert [each.format.name for each in whole(crowd)] == ["crowd"]
    assert [each.secret for each in bytewise(crowd[-2000:])] == [TOKEN]
    few = b"".join(b"ghp_%036d " % each for each in range(LURES - 1)) + TOKEN
    assert [each.secret for each in whole(few)] == [TOKEN]


def test_a_key_is_told_once_and_only_so_many_are() -> None:
    leaks = Leaks(FINDER)
    assert len(leaks.feed(TOKEN + b"\n" + TOKEN)) == 1
    assert leaks.feed(TOKEN) == []
    many = b" ".join(b"glpat-%020d" % (10**19 - each * 76543219876543) for each in range(99))
    assert len(leaks.feed(many)) == leakstream.TOLD


def test_what_passes_does_not_hide_what_follows() -> None:
    leaks = Leaks(FINDER)
    numbers = [f"AKIAQWERTYUIOP{each:06}".translate(LETTERS) for each in range(99)]
    passed = leaks.feed(" ".join(numbers).encode())
    assert {each.format.name for each in passed} == {"aws-key-id"}
    assert [each.secret for each in leaks.feed(b" " + TOKEN)] == [TOKEN]


def test_many_short_runs_cost_no_more_for_many_words() -> None:
    """Each word looked for in each run took 2 s of a MiB, of which gzip made 32 of half a one."""
    words = [
        base64.b64encode(bytes(offset) + anchor.encode() + b"AAA")
        for each in FORMATS
        for anchor in each.anchors
        for offset in range(3)
    ]
    few = b" ".join(words) + b" QUFBQUFBQUFB" * 5000
    dense = b" ".join(word.rstrip(b"=") + b"A" * 9 for word in words) * 20
    begun = time.process_time()
    for _ in range(16):
        assert not FINDER.find(few)
        assert not FINDER.find(dense)
    assert time.process_time() - begun < 1.0


def test_names_tell_what_stands_in_their_labels() -> None:
    for encode in (base64.b32encode, lambda data: data.hex().encode()):
        label = encode(b"x-" + TOKEN).decode().strip("=").lower()
        name = f"{label[:50]}.{label[50:]}.example.test"
        assert {each.format.name for each in FINDER.find_in_name(name)} == {"github"}
    assert FINDER.find_in_name("a-long-name-of-some-service.eu-west-1.example.test") == []


ENCODED = [
    encode(f" {KEYS[name]} ".encode()) for name in SURE[::3] for _, encode in CODINGS.values()
]
PIECES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(ENCODED),
    st.sampled_from([TOKEN[:9], b"Z2hw", b"eyJ", b"%", b"\r\n", b"sk-ant-", b"A"]),
)


@given(st.lists(PIECES, max_size=8), st.integers(1, 300))
def test_cuts_change_nothing(pieces: list[bytes], size: int) -> None:
    data, leaks = b"".join(pieces), Leaks(FINDER)
    cut = [each for at in range(0, len(data), size) for each in leaks.feed(data[at : at + size])]
    found = {(each.format.name, each.secret) for each in whole(data)}
    assert {(each.format.name, each.secret) for each in cut} == found


@given(st.text(max_size=300))
def test_no_name_makes_it_raise(name: str) -> None:
    FINDER.find_in_name(name)


@given(
    st.lists(st.sampled_from([b"nvapi-", b"sk-", b"-" * 120, b"x" * 260, b" "]), max_size=40),
    st.sampled_from([[b"nvapi-"], [b"nvapi-", b"sk-"]]),
)
def test_parts_hold_every_word_with_all_that_a_key_may_reach(
    pieces: list[bytes], words: list[bytes]
) -> None:
    text = b"".join(pieces)
    parts = _parts(text, words)
    assert all(end < start for (_, end), (start, _) in pairwise(parts))
    for word in words:
        for found in re.finditer(re.escape(word), text):
            start, end = max(0, found.start() - _BEFORE), found.start() + SPAN
            assert any(low <= start and end <= high for low, high in parts)
