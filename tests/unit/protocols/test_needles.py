"""Known secrets are found in every usual form, whole or byte by byte, and nothing else is."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.needles import ENDS, Needles, Search

SECRET = 'sk-"ant"/secret+value=1234567890&more'
NEEDLES = Needles({"KEY": SECRET, "OTHER": "placeholder0123456789abcdef"})

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 for URLs": base64.urlsafe_b64encode,
    "base32": base64.b32encode,
    "base32 in lower case": lambda data: base64.b32encode(data).lower(),
    "hex": binascii.hexlify,
    "HEX": lambda data: binascii.hexlify(data).upper(),
    "percent": lambda data: quote(data, safe="").encode(),
    "percent in lower case": lambda data: re.sub(
        "%..", lambda match: match[0].lower(), quote(data, safe="")
    ).encode(),
    "percent but slashes": lambda data: quote(data).encode(),
    "percent throughout": lambda data: b"".join(b"%%%02X" % each for each in data),
    "JSON": lambda data: json.dumps(data.decode()).encode(),
}


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("offset", range(6))
def test_a_secret_is_found_wherever_it_begins(form: str, offset: int) -> None:
    text = FORMS[form](b"x" * offset + SECRET.encode() + b"y" * 70)
    assert NEEDLES.find(text) == ("KEY",)
    search = Search(NEEDLES)
    assert [name for each in text for name in search.feed(bytes([each]))] == ["KEY"]


def test_a_long_secret_is_found_by_its_end() -> None:
    needles = Needles({"LONG": "a" * 5000 + "0123456789" * 4})
    assert needles.find(b"x" + b"a" * 10 + b"0123456789" * 4) == ("LONG",)
    assert needles.find(b"a" * 5000) == ()
    assert all(len(each) >= ENDS for each in needles.texts)


def test_a_secret_is_named_once_in_a_stream() -> None:
    search = Search(NEEDLES)
    assert search.feed(SECRET.encode() * 3) == ("KEY",)
    assert search.feed(SECRET.encode()) == ()


def test_case_and_dots_of_a_name_are_anybodys_choice() -> None:
    label = base64.b32encode(SECRET.encode()).decode().strip("=")
    assert NEEDLES.find_in_name(f"{label[:30]}.{label[30:].lower()}.example.test") == ("KEY",)
    assert NEEDLES.find_in_name("PLACEHOLDER0123456789ABCDEF.example.test") == ("OTHER",)
    assert NEEDLES.find_in_name("www.example.test") == ()


def test_without_secrets_nothing_is_looked_for() -> None:
    assert not Needles({})
    assert Needles({}).find(b"anything") == ()
    assert Needles({}).find_in_name("anything") == ()


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_no_bytes_make_it_raise_and_cuts_change_nothing(pieces: list[bytes]) -> None:
    search = Search(NEEDLES)
    found = {name for each in pieces for name in search.feed(each)}
    assert found == set(NEEDLES.find(b"".join(pieces)))


@given(st.binary(max_size=100), st.binary(max_size=100), st.sampled_from(sorted(FORMS)))
def test_what_stands_around_it_hides_nothing(before: bytes, after: bytes, form: str) -> None:
    if form == "JSON":
        before, after = b"{", b"}"
    data = before + SECRET.encode() + after
    assert NEEDLES.find(FORMS[form](data)) == ("KEY",)


@given(st.binary(max_size=60), st.sampled_from(sorted(FORMS)), st.integers(6, 30))
def test_the_beginning_of_a_secret_is_told_until_it_is_whole_or_none(
    before: bytes, form: str, size: int
) -> None:
    whole = FORMS[form](SECRET.encode())
    search = Search(NEEDLES)
    search.feed(before + b"\0" + whole[: size + 1])
    assert search.begun
    search.feed(whole[size + 1 :])
    search.feed(b"\0")
    assert not search.begun
