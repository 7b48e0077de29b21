"""Paths in the one form that policies are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.files import decode_path, plain_path

PLAIN = {
    "/": "/",
    "//": "/",
    "/a/b": "/a/b",
    "//a///b//": "/a/b",
    "/./a/./b/.": "/a/b",
    "a/b": "a/b",
    "./a/": "a",
    "": ".",
    ".": ".",
    "./": ".",
    "/a/...": "/a/...",
    "/a/..b": "/a/..b",
    "~/a": "~/a",
    "/a b/\u00e9": "/a b/\u00e9",
    "/\udcff": "/\udcff",
}


@pytest.mark.parametrize(("path", "plain"), PLAIN.items())
def test_plain(path: str, plain: str) -> None:
    assert plain_path(path) == plain


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/..",
        "../a",
        "/a/../b",
        "/a/..",
        "a/./..",
        "a\0",
        "a\nb",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "a\\b",
    ],
)
def test_ambiguous(path: str) -> None:
    assert plain_path(path) is None


@given(st.text(alphabet="/.ab~", max_size=20))
def test_plain_stays_plain(path: str) -> None:
    plain = plain_path(path)
    if plain is None:
        assert ".." in path.split("/")
        return
    assert plain_path(plain) == plain
    assert plain.startswith("/") == path.startswith("/")
    assert "//" not in plain


@given(st.binary(max_size=50))
def test_every_path_can_be_told_back(data: bytes) -> None:
    assert decode_path(data).encode("utf-8", "surrogateescape") == data


def test_a_path_has_a_limit() -> None:
    assert len(decode_path(b"a" * 4096)) == 4096
    with pytest.raises(ProtocolError, match="a path of 4097 characters; at most 4096"):
        decode_path(b"a" * 4097)
