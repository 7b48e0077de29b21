"""Every dialect of mining in JSON, by either side, however it is written, cut and carried.

The messages are those of the programs' sources named beside the rules (mining/messages.py).
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firewall.protocols import Watch, identify
from firewall.requests import Direction
from tests.unit.protocols.samples import UPGRADE, deflate, frame, watch

BLOB = "0606" + "a7" * 74
WORD = "0x" + "00" * 4 + "ab" * 28
LOGIN = {"login": "4" + "A" * 94, "pass": "x", "agent": "XMRig/6.26.0", "algo": ["rx/0"]}
JOB = {"blob": BLOB, "job_id": "q7", "target": "b88d0600", "algo": "rx/0", "seed_hash": "ab" * 32}


def rpc(method: str, params: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "jsonrpc": "2.0", "method": method, "params": params, **more}


EVERYWHERE: dict[str, tuple[str, Direction, dict[str, Any]]] = {
    "subscribe": ("stratum", "sent", rpc("mining.subscribe", ["cgminer/4.11.1"])),
    "authorize": ("stratum", "sent", rpc("mining.authorize", ["wallet.rig", "x"])),
    "submit": ("stratum", "sent", rpc("mining.submit", ["w", "4f", "00", "60", "b1"])),
    "BIP 310": (
        "stratum",
        "sent",
        rpc("mining.configure", [["version-rolling"], {"version-rolling.mask": "1fffe000"}]),
    ),
    "extranonce": ("stratum", "sent", rpc("mining.extranonce.subscribe", [])),
    "notify": ("stratum", "received", rpc("mining.notify", ["bf", "4d", "01", "", [], True])),
    "set difficulty": ("stratum", "received", rpc("mining.set_difficulty", [512])),
    "set target (Zcash)": ("stratum", "received", rpc("mining.set_target", ["00" * 32])),
    "set extranonce (Alephium)": (
        "stratum",
        "received",
        {"id": None, "method": "mining.set_extranonce", "params": ["ab"]},
    ),
    "answer to subscribe": (
        "stratum",
        "received",
        {"id": 1, "result": [[["mining.set_difficulty", "b4"], ["mining.notify", "ae"]], "08", 4]},
    ),
    "Zcash": (
        "stratum",
        "sent",
        rpc("mining.subscribe", ["equihashminer", None, "pool.example", "3333"]),
    ),
    "KawPow": ("stratum", "sent", rpc("mining.subscribe", ["GMiner/2.09", None, "a", "1"])),
    "Kaspa": ("kaspa-stratum", "sent", rpc("mining.authorize", ["kaspa:qq0", "x"])),
    "Iron Fish": (
        "ironfish-stratum",
        "sent",
        {"id": 0, "method": "mining.subscribe", "body": {"version": 3, "publicAddress": "ab"}},
    ),
    "eth-proxy": (
        "eth-proxy",
        "sent",
        {"worker": "rig", "method": "eth_submitLogin", "params": ["0xab"], "id": 2},
    ),
    "eth_getWork": ("eth-getwork", "sent", rpc("eth_getWork", [])),
    "eth_submitWork": ("eth-getwork", "sent", rpc("eth_submitWork", ["0x1", WORD, WORD])),
    "eth_submitHashrate": ("eth-getwork", "sent", rpc("eth_submitHashrate", [WORD, WORD])),
    "eth work": ("eth-getwork", "received", {"id": 0, "jsonrpc": "2.0", "result": [WORD] * 3}),
    "eth work of a block": (
        "eth-getwork",
        "received",
        {"id": 0, "jsonrpc": "2.0", "result": [WORD, WORD, WORD, "0xc5d4f0"]},
    ),
    "newWork": ("eth-getwork", "sent", rpc("eth_subscribe", ["newWork", "0xab"])),
    "EthereumStratum 1": (
        "ethereum-stratum",
        "sent",
        rpc("mining.subscribe", ["ethminer/0.19.0", "EthereumStratum/1.0.0"]),
    ),
    "EthereumStratum 1, answered": (
        "ethereum-stratum",
        "received",
        {"id": 1, "result": [True, "EthereumStratum/1.0.0"]},
    ),
    "EthereumStratum 2": (
        "ethereum-stratum",
        "sent",
        rpc("mining.hello", {"agent": "a", "host": "b", "port": "d05", "proto": "c"}),
    ),
    "Monero login": ("monero-stratum", "sent", rpc("login", LOGIN)),
    "Monero login without agent": (
        "monero-stratum",
        "sent",
        {"id": 1, "method": "login", "params": {"login": "8" + "B" * 94, "pass": "x"}},
    ),
    "Monero self-select": ("monero-stratum", "sent", rpc("login", LOGIN | {"mode": "self-select"})),
    "Monero self-select's template": ("monero-stratum", "sent", rpc("block_template", {"id": "a"})),
    "Monero submit": (
        "monero-stratum",
        "sent",
        rpc("submit", {"id": "a", "job_id": "q7", "nonce": "ab", "result": "cd" * 32}),
    ),
    "Monero keepalived": ("monero-stratum", "sent", rpc("keepalived", {"id": "a"})),
    "Monero keepalived, answered": (
        "monero-stratum",
        "received",
        {"id": 3, "jsonrpc": "2.0", "result": {"status": "KEEPALIVED"}},
    ),
    "Monero login, answered": (
        "monero-stratum",
        "received",
        {"id": 1, "jsonrpc": "2.0", "result": {"id": "a", "job": JOB, "status": "OK"}},
    ),
    "Monero job": (
        "monero-stratum",
        "received",
        {"jsonrpc": "2.0", "method": "job", "params": JOB},
    ),
    "Monero daemon": (
        "getblocktemplate",
        "sent",
        rpc("getblocktemplate", {"wallet_address": "4" + "A" * 94, "extra_nonce": "00"}),
    ),
    "Monero daemon, answered": (
        "getblocktemplate",
        "received",
        {"id": 1, "result": {"blocktemplate_blob": BLOB, "height": 3}},
    ),
    "Monero block": ("getblocktemplate", "sent", rpc("submitblock", [BLOB])),
    "getwork": ("getwork", "sent", {"method": "getwork", "params": [], "id": 0}),
    "getwork, answered": (
        "getwork",
        "received",
        {"id": 0, "result": {"midstate": "ab", "data": "cd", "hash1": "0", "target": "ff"}},
    ),
    "getblocktemplate": (
        "getblocktemplate",
        "sent",
        {"id": 0, "method": "getblocktemplate", "params": [{"capabilities": ["coinbasetxn"]}]},
    ),
    "getblocktemplate, answered": (
        "getblocktemplate",
        "received",
        {"id": 0, "result": {"previousblockhash": "00" * 32, "coinbasevalue": 312500000}},
    ),
    "Grin login": ("monero-stratum", "sent", rpc("login", LOGIN | {"agent": "grin-miner"})),
    "Grin share": ("monero-stratum", "sent", rpc("submit", {"job_id": 0, "nonce": 1, "pow": []})),
    "Coinhive": (
        "coinhive",
        "sent",
        {"type": "auth", "params": {"site_key": "k", "type": "anonymous", "user": None, "goal": 0}},
    ),
    "Coinhive, answered": (
        "coinhive",
        "received",
        {"type": "authed", "params": {"token": "", "hashes": 0}},
    ),
    "Coinhive job": ("monero-stratum", "received", {"type": "job", "params": JOB}),
    "Grin's job": (
        "grin",
        "received",
        rpc("job", {"difficulty": 1, "height": 16375, "job_id": 5, "pre_pow": "0001" + "ab" * 99}),
    ),
    "webminerpool": (
        "webminerpool",
        "sent",
        {"identifier": "handshake", "pool": "a", "login": "b", "password": "", "userid": ""},
    ),
    "TON share": ("ton", "sent", {"inputs": ["ab"], "giver": "kf-1", "miner_addr": "EQ"}),
    "TON job": (
        "ton",
        "received",
        {"giver": "kf-1", "complexity": "ab", "seed": "cd", "prefix": 2, "wallet": "EQ"},
    ),
}

BARE: dict[str, tuple[str, Direction, dict[str, Any]]] = {
    "Grin job": ("grin", "sent", rpc("getjobtemplate", None)),
    "Beam login": (
        "beam",
        "sent",
        {"method": "login", "api_key": "ab", "id": "login", "jsonrpc": "2.0"},
    ),
    "Beam share": (
        "beam",
        "sent",
        {"method": "solution", "id": "7", "nonce": "ab", "output": "cd", "jsonrpc": "2.0"},
    ),
    "Beam job": (
        "beam",
        "received",
        {"method": "job", "id": "7", "input": "ab", "difficulty": 1, "jsonrpc": "2.0"},
    ),
    "Kaspa's extranonce": ("kaspa", "received", rpc("set_extranonce", ["ab", 3])),
    "Monero login of a worker": (
        "monero-stratum",
        "sent",
        {"id": 1, "method": "login", "params": {"login": "rig", "pass": "x"}},
    ),
}
"""What says enough only where no web API could mean it."""

ALL = EVERYWHERE | BARE


def escaped(message: dict[str, Any]) -> bytes:
    """Every letter of every string as an escape."""
    text, quoted = "", False
    for character in json.dumps(message):
        quoted ^= character == '"'
        text += f"\\u{ord(character):04X}" if quoted and character.isalpha() else character
    return text.encode()


def compact(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


SPELLINGS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "compact": compact,
    "blanks": lambda message: json.dumps(message, separators=(" , ", " : ")).encode(),
    "pretty": lambda message: json.dumps(message, indent=2).encode(),
    "indented far": lambda message: json.dumps(message, indent=40).encode(),
    "reversed": lambda message: compact(dict(reversed(message.items()))),
    "batched": lambda message: b'[{"id":9,"method":"x"},' + compact(message) + b"]",
    "far down a batch": lambda message: b"[" + b"{}," * 200 + compact(message) + b"]",
    "escaped": escaped,
    "byte order mark": lambda message: b"\xef\xbb\xbf" + compact(message),
    "blank lines": lambda message: b"\r\n\n \r\n" + compact(message),
}


def names(carrier: str, direction: Direction, data: bytes, size: int) -> set[str]:
    return {each.name for each in watch(data, size, carrier, direction)}


@pytest.mark.parametrize("dialect", ALL)
def test_on_bare_streams(dialect: str) -> None:
    name, direction, message = ALL[dialect]
    for spelling, spell in SPELLINGS.items():
        data = spell(message) + b"\n"
        for carrier in ("tcp stream", "tls stream", "ssh stream"):
            assert names(carrier, direction, data, 1 << 16) == {name}, (spelling, carrier)
        assert names("tcp stream", direction, data, 1) == {name}, spelling


@pytest.mark.parametrize("dialect", EVERYWHERE)
def test_in_bodies_and_messages(dialect: str) -> None:
    name, direction, message = EVERYWHERE[dialect]
    for spelling, spell in SPELLINGS.items():
        data = spell(message)
        for carrier in ("http body", "websocket", "grpc"):
            assert names(carrier, direction, data, 1 << 16) == {name}, (spelling, carrier)
        assert names("http body", direction, data, 1) == {name}, spelling


def prefixes(direction: Direction, data: bytes) -> Iterator[bytes]:
    """What may come before a message that is to be overlooked."""
    yield b"hello\n" + data
    yield b"220 mx.example ESMTP\r\n" + data
    yield b"\x00" * 3000 + b"\n" + data
    if direction == "sent":
        yield b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" + data
        yield b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + data
        yield b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 3333\r\n" + data
        yield b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + data
        yield b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + data
        yield b"\x05\x01\x00\x05\x01\x00\x03\x01a\x0d\x05" + data
        yield b"\x04\x01\x0d\x05\x7f\0\0\1u\0" + data
        yield UPGRADE + frame(data)
        yield UPGRADE + frame(deflate(data), first=0xC1)
    else:
        yield b"HTTP/1.1 200 OK\r\n\r\n" + data
        yield b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0" + data


@pytest.mark.parametrize("dialect", EVERYWHERE)
def test_mid_stream_and_inside_other_streams(dialect: str) -> None:
    name, direction, message = EVERYWHERE[dialect]
    for data in prefixes(direction, compact(message) + b"\n"):
        assert name in names("tcp stream", direction, data, 1 << 16), data[:60]
        assert name in names("tcp stream", direction, data, 5), data[:60]


@pytest.mark.parametrize("dialect", [name for name in ALL if ALL[name][1] == "sent"])
def test_as_first_bytes(dialect: str) -> None:
    name, _, message = ALL[dialect]
    data = compact(message) + b"\n"
    identity = identify(data)
    assert identity is not None
    assert {each.name for each in identity.findings} == {name}


@pytest.mark.parametrize("dialect", EVERYWHERE)
def test_a_text_that_quotes_it_says_nothing(dialect: str) -> None:
    _, direction, message = EVERYWHERE[dialect]
    quoted = json.dumps({"file": compact(message).decode(), "text": [compact(message).decode()]})
    for carrier in ("tcp stream", "http body", "websocket"):
        assert Watch(carrier, direction).feed(quoted.encode() + b"\n") == ()
