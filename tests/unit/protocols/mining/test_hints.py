"""The cheap look never passes over what the close one finds."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols.jsonstream import LIMIT, Documents, decode
from firewall.protocols.mining import messages
from firewall.protocols.mining.hints import Hints, may_mine
from tests.unit.protocols.mining.test_messages import MINING, ONLY_RAW

MESSAGES: list[Any] = [*(each[1] for each in MINING), *(each[1] for each in ONLY_RAW)]
SUBSCRIBE = b'{"id":1,"method":"mining.subscribe"}'


def escaped(text: str) -> str:
    """Every letter, digit and dot inside strings as RFC 8259 section 7 allows."""
    return "".join(
        f"\\u{ord(each):04x}" if each.isalnum() or each in "._/" else each for each in text
    )


def spellings(message: Any) -> list[bytes]:
    plain = json.dumps(message)
    spelt = json.dumps({escaped(key): value for key, value in message.items()}).replace(
        "\\\\", "\\"
    )
    upper = json.dumps({key.upper(): value for key, value in message.items()})
    return [
        plain.encode(),
        json.dumps(message, indent=8).encode(),
        plain.replace(":", " " * 99 + ":" + "\n" * 99).encode(),
        plain.replace("/", "\\/").encode(),
        spelt.encode(),
        upper.encode(),
        upper.replace("S", "\u017f").replace("K", "\\u212A").encode(),
    ]


@pytest.mark.parametrize("message", [each for each in MESSAGES if isinstance(each, dict)])
def test_every_spelling_is_hinted_at_wherever_it_is_cut(message: dict[str, Any]) -> None:
    for text in spellings(message):
        for at in range(len(text)):
            hints = Hints()
            assert hints.feed(text[:at]) or hints.feed(text[at:]), text


@pytest.mark.parametrize(
    "method", [*messages._METHODS, *messages._RAW_METHODS, "mining.x", "login", "submit", "job"]
)
def test_every_method_is_hinted_at(method: str) -> None:
    assert may_mine(b'{"method" : "%b"}' % method.encode())


@pytest.mark.parametrize(
    "value",
    [
        {"model": "m", "messages": [{"role": "user", "content": 'explain "mining.subscribe"'}]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "bash"}},
        {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "caf\u00e9"}]}},
        {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"text": "\u001b[1m"}},
        {"method": "eth", "html": "<a>"},
    ],
)
def test_honest_bodies_are_not_read_closer(value: Any) -> None:
    assert not may_mine(json.dumps(value).encode())


PIECES = st.sampled_from(
    [
        SUBSCRIBE,
        *(json.dumps(each).encode() for each in MESSAGES[:12]),
        b'{"a":"}{"}', b'{"a":[1,{"b":"\\""}]}', b'{"a":"', b'"}', b"{", b"}", b"[", b"]",
        b"\n", b" ", b"x", b",",
        b'{"method":', b'"getwork"}', b'{"result":{"midstate":"","data":"","target":""}}',
        b'{"pad":"' + b"y" * (LIMIT - 40) + b'"}', b"\xef\xbb\xbf", b"\0", b"\\u006d", b"\\",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=8).map(b"".join))
@example(b'{"result":"\\"midstate"}' + SUBSCRIBE)
def test_what_is_not_hinted_at_holds_nothing(text: bytes) -> None:
    if not may_mine(text):
        assert messages.inspect_values(decode(text), raw=True) == ()


def signs(reader: Documents, pieces: list[bytes]) -> list[Any]:
    cuts = [cut for piece in pieces for cut in reader.feed(piece)]
    found = [(cut.start, messages.inspect_json(cut.text, raw=False)) for cut in cuts]
    return [each for each in found if each[1]]


@given(st.lists(PIECES, max_size=8).map(b"".join), st.integers(1, 4096))
@example(b'{"pad":"' + b"y" * (LIMIT - 10) + b'"}' + SUBSCRIBE, 1460)
@example(b'{"pad":"' + b"y" * (LIMIT - 11) + b'"}' + b" " * 9 + SUBSCRIBE, 7)
@example(b'{"pad":"' + b"y" * LIMIT + b'"}' + SUBSCRIBE, 1460)
@example(b'{"a":1}' * 200 + SUBSCRIBE, 1460)
def test_readers_with_and_without_hints_find_the_same(text: bytes, size: int) -> None:
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    exact = signs(Documents(anywhere=False), [text])
    assert signs(Documents(anywhere=False, hints=Hints), cut) == exact
    assert signs(Documents(anywhere=False, hints=Hints), [text]) == exact
