"""Mining messages by dialect, and their honest look-alikes."""

import json
from typing import Any

import pytest

from firewall.protocols.mining.messages import inspect_json

WALLET = "4" + "A" * 94
BLOB = "0e" * 76
WORD = "0x" + "ab" * 32
TARGET = "0x00000000" + "ff" * 28

MINING: list[tuple[str, Any, str]] = [
    (
        "ethereum-stratum",
        {"method": "mining.hello", "params": {"proto": "EthereumStratum/2.0.0"}},
        "mining.hello",
    ),
    (
        "ethereum-stratum",
        {"method": "mining.subscribe", "params": ["ethminer/0.19.0", "EthereumStratum/1.0.0"]},
        "mining.subscribe",
    ),
    ("kaspa-stratum", {"method": "mining.authorize", "params": ["kaspa:qq"]}, "mining.authorize"),
    (
        "ironfish-stratum",
        {"method": "mining.subscribe", "body": {"version": 3, "publicAddress": "a"}},
        "mining.subscribe",
    ),
    ("stratum", {"method": "mining.authorize", "params": "odd"}, "mining.authorize"),
    ("stratum", {"method": "mining.authorize", "params": 7}, "mining.authorize"),
    ("stratum", {"method": "mining.authorize"}, "mining.authorize"),
    ("ton", {"inputs": ["ab"], "giver": "Ef", "miner_addr": "EQ"}, "share"),
    ("ton", {"giver": "Ef", "complexity": "0", "seed": "a", "prefix": "b", "expire": 1}, "job"),
    ("coinhive", {"type": "authed", "params": {"token": "", "hashes": 0}}, "authed"),
    ("coinhive", {"type": "hash_accepted", "params": {"hashes": 256}}, "hash_accepted"),
    (
        "stratum",
        {"id": 4, "method": "mining.set_difficulty", "params": [8]},
        "mining.set_difficulty",
    ),
    (
        "stratum",
        {"id": 1, "result": [[["mining.notify", "a"]], "08", 4]},
        "answer to mining.subscribe",
    ),
    (
        "ethereum-stratum",
        {"id": 1, "result": [True, "EthereumStratum/1.0.0"]},
        "answer to mining.subscribe",
    ),
    ("eth-proxy", {"method": "eth_submitLogin", "params": ["0x0"]}, "eth_submitLogin"),
    ("eth-getwork", {"id": 0, "result": [WORD, WORD, TARGET]}, "answer to eth_getWork"),
    ("eth-getwork", {"method": "eth_subscribe", "params": ["newWork"]}, "newWork"),
    ("monero-stratum", {"method": "login", "params": {"login": WALLET}}, "a Monero address"),
    (
        "monero-stratum",
        {"method": "login", "params": {"login": "x", "pass": "", "algo": []}},
        "algo",
    ),
    ("monero-stratum", {"method": "keepalived", "params": {"id": "x"}}, "keepalived"),
    (
        "monero-stratum",
        {"method": "submit", "params": {"job_id": "1", "nonce": "2"}},
        "job_id and nonce",
    ),
    (
        "monero-stratum",
        {"method": "job", "params": {"job_id": "1", "blob": BLOB}},
        "job_id and blob",
    ),
    ("monero-stratum", {"result": {"id": "1", "job": {"job_id": "1", "blob": BLOB}}}, "blob"),
    ("monero-stratum", {"result": {"status": "KEEPALIVED"}}, "KEEPALIVED"),
    ("monero-daemon", {"method": "get_miner_data"}, "get_miner_data"),
    ("getblocktemplate", {"method": "getblocktemplate", "params": [{}]}, "getblocktemplate"),
    ("getblocktemplate", {"result": {"coinbasevalue": 1, "previousblockhash": ""}}, "answer"),
    ("getwork", {"method": "getwork", "params": []}, "getwork"),
    ("getwork", {"result": {"midstate": "", "data": "", "target": ""}}, "answer to getwork"),
    ("coinhive", {"type": "auth", "params": {"site_key": "k"}}, "site_key"),
    ("webminerpool", {"identifier": "handshake", "pool": "p", "login": "l"}, "handshake"),
    ("webminerpool", {"identifier": "solved", "job_id": "1", "nonce": "2"}, "solved"),
    ("stratum", [{"id": 1}, {"method": "mining.submit"}], "mining.submit"),
]


@pytest.mark.parametrize(("name", "message", "evidence"), MINING)
@pytest.mark.parametrize("raw", [True, False])
def test_mining(name: str, message: Any, evidence: str, raw: bool) -> None:
    for indent in (None, 2):
        (sign,) = inspect_json(json.dumps(message, indent=indent).encode(), raw=raw)
        assert (sign.kind, sign.name) == ("mining", name)
        assert evidence in sign.evidence


ONLY_RAW: list[tuple[str, Any]] = [
    ("stratum", {"method": "mining.something"}),
    ("beam", {"method": "login", "api_key": "k"}),
    ("beam", {"method": "job", "input": "ab", "nonceprefix": "0"}),
    ("beam", {"method": "solution", "nonce": "1", "output": "2"}),
    ("grin", {"method": "getjobtemplate"}),
    ("kaspa", {"method": "set_extranonce", "params": ["ab", 2]}),
    ("monero-stratum", {"method": "login", "params": {"login": "x", "pass": "x"}}),
    ("bore", {"Hello": 8080}),
]


@pytest.mark.parametrize(("name", "message"), ONLY_RAW)
def test_words_that_web_interfaces_may_use(name: str, message: Any) -> None:
    text = json.dumps(message).encode()
    assert [sign.name for sign in inspect_json(text, raw=True)] == [name]
    assert inspect_json(text, raw=False) == ()


HONEST: list[Any] = [
    {"giver": "Ann", "complexity": "high", "note": "a pull request"},
    {"type": "authed", "params": {"user": "bob"}},
    {"hashes": 3, "params": {"hashes": ["a", "b"]}, "type": "digest"},
    {"method": "wallet_switchEthereumChain", "params": [{"chainId": "0x1"}]},
    {"method": "eth_mining", "params": []},
    {"method": "eth_hashrate", "params": []},
    {"method": "personal_unlockAccount", "params": ["0xab", "pass", 30]},
    {"method": "get_balance", "params": {"account_index": 0}},
    {"method": "getblockchaininfo", "params": []},
    {"method": "textDocument/didOpen", "params": {"text": '{"method":"mining.subscribe"}'}},
    {"method": "initialize", "params": {"clientInfo": {"name": "login"}}},
    {"method": "server.version", "params": ["electrum", "1.4"]},
    {"method": "blockchain.headers.subscribe", "params": []},
    {"method": "Runtime.evaluate", "params": {"expression": "mining.subscribe"}},
    {"method": "login", "params": {"user": "bob", "password": "x", "agent": "app/1"}},
    {"jsonrpc": "2.0", "method": "auth.login", "params": {"login": "bob", "pass": "x"}},
    {"method": "submit", "params": {"nonce": "1", "form": "feedback"}},
    {"event": "job", "data": {"job_id": "1", "blob": "https://blobs.example/1"}},
    {"target": "prod", "job_id": "7", "status": "queued"},
    {"method": "eth_call", "params": [{"to": WORD}, "latest"]},
    {"method": "eth_getBlockByNumber", "params": ["latest", False]},
    {"id": 1, "result": [WORD, WORD, WORD]},
    {"method": "login", "params": {"username": "bob", "password": "x"}},
    {"method": "login", "params": {"login": "bob", "password": "x"}},
    {"method": "login", "params": ["bob", "x"]},
    {"method": "submit", "params": {"job_id": "1", "result": "OK"}},
    {
        "method": "tools/call",
        "params": {"name": "submit", "arguments": {"job_id": "1", "nonce": 2}},
    },
    {"method": "blockchain.transaction.get", "params": ["ab"]},
    {"method": "getblock", "params": ["ab"]},
    {"method": ["mining.subscribe"]},
    {"params": {"method": "mining.subscribe"}},
    {"text": "mining.subscribe", "method": "say"},
    {"job_id": "1", "blob": "short"},
    {"result": {"job": "build", "status": "OK"}},
    {"type": "job", "params": {"job_id": "1", "name": "build"}},
    {"identifier": "handshake", "user": "bob", "password": "x"},
    {"Hello": "world"},
    [[{"method": "mining.subscribe"}]],
    "mining.subscribe",
]


@pytest.mark.parametrize("message", HONEST)
def test_honest(message: Any) -> None:
    assert inspect_json(json.dumps(message).encode(), raw=True) == ()


def test_no_json_is_no_mining() -> None:
    for text in (b'{"method": mining.subscribe}', b'{"method"' + b"[" * 9999, b'"method" mining'):
        assert inspect_json(text, raw=True) == ()
