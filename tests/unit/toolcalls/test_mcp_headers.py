"""Headers that mirror a body: they agree with it, or nothing passes."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.toolcalls.mcp.headers import VERSION, decode, mismatch

MODERN = {"_meta": {VERSION: "2026-07-28"}}
MIRRORS = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call")]


def _call(name: str = "add", *, modern: bool = True, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, **(MODERN if modern else {})}
    return {"method": "tools/call", "params": params}


def _sentinel(text: str) -> bytes:
    return b"=?base64?" + base64.b64encode(text.encode()) + b"?="


def test_what_agrees_passes() -> None:
    assert mismatch([*MIRRORS, (b"mcp-name", b"add")], _call()) is None
    assert mismatch([*MIRRORS, (b"mcp-name", _sentinel("größe"))], _call("größe")) is None
    assert mismatch([(b"mcp-protocol-version", b"2025-06-18")], _call(modern=False)) is None
    assert mismatch([], [_call(modern=False)]) is None


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ([*MIRRORS, (b"mcp-name", b"drop")], _call(), "mcp-name is not"),
        ([*MIRRORS], _call(), "mcp-name is missing"),
        ([MIRRORS[0], (b"mcp-name", b"add")], _call(), "mcp-method is missing"),
        ([*MIRRORS, (b"mcp-name", b"add"), (b"mcp-name", b"add")], _call(), "twice"),
        ([(b"mcp-name", b"drop")], _call(modern=False), "mcp-name is not"),
        ([(b"mcp-method", b"ping")], _call(modern=False), "mcp-method is not"),
        ([(b"mcp-method", b"tools/call")], [_call()], "batch"),
        ([*MIRRORS, (b"mcp-name", b"=?base64?YQ?=")], _call(), "mcp-name is not"),
    ],
)
def test_what_contradicts_is_refused(headers: Any, body: Any, why: str) -> None:
    found = mismatch(headers, body)
    assert found is not None
    assert why in found


@pytest.mark.parametrize("value", [b"eu", b"true", b"42", _sentinel("é")])
def test_a_mirrored_argument_is_one_of_the_body(value: bytes) -> None:
    headers = [*MIRRORS, (b"mcp-name", b"add"), (b"mcp-param-x", value)]
    assert mismatch(headers, _call(a="eu", b={"t": True}, c={"d": 42, "e": "é"})) is None
    assert "mcp-param-x" in str(mismatch(headers, _call(a="us")))


@given(st.text(max_size=50))
def test_what_is_encoded_is_decoded(text: str) -> None:
    assert decode(_sentinel(text)) == text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["method", "params", "name", "_meta", VERSION]), inner)
    ),
)
_NAMES = st.sampled_from([b"mcp-name", b"mcp-method", b"mcp-protocol-version", b"mcp-param-a"])


@given(st.lists(st.tuples(_NAMES, st.binary(max_size=20)), max_size=4), _JSON)
def test_nothing_raises(headers: list[tuple[bytes, bytes]], body: Any) -> None:
    assert isinstance(mismatch(headers, body), str | None)
