"""Honest traffic that comes close to mining and tunnels: quotes, cousins and namesakes."""

import gzip
import json
import random
import zlib
from typing import Any

import pytest

from firewall.protocols.captures import report_stream
from firewall.requests import Direction
from tests.unit.protocols.samples import SUBSCRIBE, UPGRADE, deflate, frame, watch
from tests.unit.protocols.test_benign import framed, post, rpc

RANDOM = random.Random(11)
QUOTE = SUBSCRIBE.decode().strip()
LOGIN_QUOTE = '{"method":"login","params":{"login":"4A","pass":"x","agent":"XMRig/6"}}'
WORD = "0x" + "ab" * 32
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def answer(value: Any, kind: bytes = b"application/json") -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HEAD % kind + text


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: a.example", *headers, "", ""]
    return "\r\n".join(lines).encode()


SOURCE = f"""import socket
POOL = "stratum+tcp://pool.example:3333"
s.sendall(b'{QUOTE}\\n')
{QUOTE}
"""
NOTEBOOK = {
    "header": {"msg_id": "1", "msg_type": "execute_request", "session": "2"},
    "content": {"code": f"print('''{QUOTE}''')", "silent": False},
    "channel": "shell",
}
PACK = b"PACK\0\0\0\2\0\0\0\3" + RANDOM.randbytes(400)

FLOWS: dict[str, tuple[bytes, bytes]] = {
    # Files and pages that speak of mining
    "a miner's source from an index": (get("/miner.py"), answer(SOURCE.encode(), b"text/x-python")),
    "a wheel": (get("/m-1.0.whl"), answer(b"PK\3\4" + SOURCE.encode(), b"application/zip")),
    "a compressed source": (get("/m.tar.gz"), answer(gzip.compress(SOURCE.encode()), b"a/b")),
    "the protocol's documentation": (
        get("/wiki/Stratum"),
        answer(f"<pre>\n{QUOTE}\n{LOGIN_QUOTE}\n</pre>".encode(), b"text/html"),
    ),
    "a page of Markdown": (get("/README.md"), answer(f"# Pool\n\n    {QUOTE}\n".encode(), b"a/b")),
    "a file of JSON lines as a string": (
        get("/log"),
        answer({"lines": [QUOTE, LOGIN_QUOTE], "method": "GET"}),
    ),
    "a package's description": (
        get("/simple/stratum/json"),
        answer({"info": {"description": QUOTE, "keywords": "mining.subscribe,getwork"}}),
    ),
    "search results": (get("/search?q=mining.subscribe"), answer({"q": "mining.subscribe"})),
    "an issue about a miner": (post(json.dumps({"title": "getwork", "body": QUOTE}).encode()), b""),
    "a commit": (post(json.dumps({"files": {"a.json": {"content": QUOTE}}}).encode()), b""),
    "a prompt with a method": (
        post(json.dumps({"model": "m", "messages": [{"content": QUOTE}], "stream": True}).encode()),
        answer(f"data: {json.dumps({'delta': QUOTE})}\n\n".encode(), b"text/event-stream"),
    ),
    "tool definitions": (
        post(json.dumps({"tools": [{"name": "submit", "params": {"nonce": "x"}}]}).encode()),
        b"",
    ),
    "a YAML policy": (post(f"deny: ['{QUOTE}']\n".encode(), kind="text/yaml"), b""),
    # Ethereum and other chains
    "a block": (
        post(rpc("eth_getBlockByNumber", ["latest", False])),
        answer({"id": 1, "result": {"mixHash": WORD, "nonce": "0x0", "difficulty": "0x0"}}),
    ),
    "a receipt": (post(rpc("eth_getTransactionReceipt", [WORD])), answer({"result": None})),
    "a call": (post(rpc("eth_call", [{"to": "0xab", "data": WORD}, "latest"])), answer({})),
    "a filter's words": (
        post(rpc("eth_getFilterChanges", ["0x1"])),
        answer({"result": [WORD] * 3}),
    ),
    "a filter's blocks": (
        post(rpc("eth_getFilterChanges", ["0x1"])),
        answer({"result": [WORD, WORD, "0x0000" + "ab" * 30]}),
    ),
    "many of a filter's blocks": (
        post(rpc("eth_getFilterChanges", ["0x1"])),
        answer({"result": [WORD, WORD, "0x00000000" + "ab" * 28, WORD]}),
    ),
    "empty words": (post(rpc("proofs", [])), answer({"result": ["0x" + "00" * 32] * 3})),
    "is it mining": (post(rpc("eth_mining", [])), answer({"id": 1, "result": False})),
    "hash rate": (post(rpc("eth_hashrate", [])), answer({"id": 1, "result": "0x0"})),
    "logs over a WebSocket": (
        UPGRADE + frame(rpc("eth_subscribe", ["logs", {"topics": [WORD]}])),
        SWITCHED + frame(b'{"id":1,"result":"0xab"}', mask=b""),
    ),
    "a beacon node": (get("/eth/v1/beacon/blocks/head"), answer({"data": {"message": {}}})),
    "a solana account": (post(rpc("getAccountInfo", ["4A"])), answer({"result": {"value": None}})),
    "bitcoin's chain": (post(rpc("getblockchaininfo", [])), answer({"result": {"blocks": 1}})),
    "a raw transaction": (post(rpc("sendrawtransaction", ["00" * 120])), answer({"result": "ab"})),
    "monero's height": (post(rpc("get_block_count", {}), "/json_rpc"), answer({"result": {}})),
    "a light wallet": (
        rpc("blockchain.scripthash.subscribe", ["ab" * 32]) + b"\n",
        b'{"id":1,"result":null}\n',
    ),
    "a Lightning node": (rpc("listpeers", {}) + b"\n\n", b'{"id":1,"result":{"peers":[]}}\n\n'),
    # Editors, agents and notebooks
    "hover": (framed(rpc("textDocument/hover", {"position": {"line": 1}})), framed(b'{"id":1}')),
    "diagnostics": (
        framed(rpc("textDocument/didChange", {"contentChanges": [{"text": SOURCE}]})),
        framed(rpc("textDocument/publishDiagnostics", {"diagnostics": [{"message": QUOTE}]})),
    ),
    "a tool's answer": (
        rpc("tools/call", {"name": "read", "arguments": {"path": "pool.py"}}) + b"\n",
        b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":%s}]}}\n'
        % json.dumps(SOURCE).encode(),
    ),
    "a stream of MCP events": (
        post(rpc("resources/read", {"uri": "file:///a"}), "/mcp"),
        answer(b"event: message\ndata: " + rpc("notifications/progress", {}) + b"\n\n", b"a/b"),
    ),
    "a notebook's cell": (
        UPGRADE + frame(json.dumps(NOTEBOOK).encode()),
        SWITCHED + frame(json.dumps(NOTEBOOK).encode(), mask=b""),
    ),
    "a compressed notebook's cell": (
        UPGRADE + frame(deflate(json.dumps(NOTEBOOK).encode()), first=0xC1),
        SWITCHED + frame(deflate(json.dumps(NOTEBOOK).encode()), first=0xC1, mask=b""),
    ),
    "a debugger": (
        UPGRADE + frame(rpc("Debugger.setBreakpoint", {"location": {"lineNumber": 1}})),
        b"",
    ),
    "a headless browser": (UPGRADE + frame(rpc("Page.navigate", {"url": "http://pool"})), b""),
    "zmq": (b"\xff" + bytes(8) + b"\x01\x7f\x03\x01NULL" + bytes(48), b"\xff" + bytes(9)),
    # Applications with the same words
    "a login by RPC": (post(rpc("login", {"user": "bob", "password": "x"})), answer({"result": 1})),
    "a login by RPC on a socket": (rpc("login", ["bob", "secret"]) + b"\n", b'{"id":1}\n'),
    "a router's login": (post(rpc("login", {"login": "admin", "pass": "x"}), "/ubus"), b""),
    "submit a form": (post(rpc("submit", {"form": "a", "nonce": "csrf"})), answer({"job_id": 1})),
    "a batch job": (post(b'{"method":"job","job_id":"1","target":"gpu"}'), answer({"id": "1"})),
    "a print job": (post(b'{"job":{"id":1,"blob":"JVBERi0="}}'), answer({"status": "OK"})),
    "content security": (post(b'{"nonce":"ab","hashes":["sha256-x"]}'), answer({"hashes": 3})),
    "keepalive": (UPGRADE + frame(b'{"type":"keepalive","id":1}'), b""),
    "a block editor": (post(rpc("block.template", {"id": 1})), answer({"template": "x"})),
    "graphql": (
        post(b'{"query":"mutation { submit(job_id: 1, nonce: 2) { id } }"}'),
        answer({"data": {"submit": {"id": 1}}}),
    ),
    "graphql over a WebSocket": (
        UPGRADE + frame(b'{"id":"1","type":"subscribe","payload":{"query":"{job{blob}}"}}'),
        b"",
    ),
    "socket.io": (UPGRADE + frame(b'42["login",{"login":"bob","pass":"x"}]'), b""),
    "experiment tracking": (
        post(json.dumps({"metrics": [{"key": "hashrate", "value": 1.0}]}).encode(), "/api/2.0/log"),
        answer({}),
    ),
    "a feature store": (post(b'{"entities":{"giver":["a"],"seed":[1]}}'), answer({"prefix": 1})),
    # Other protocols
    "a git clone": (
        b"0035git-upload-pack /p.git\0host=a.example\0\0version=2\0",
        b"000eversion 2\n0000" + b"%04x\1" % (len(PACK) + 5) + PACK,
    ),
    "a pack by HTTP": (post(b"0000", "/p.git/git-upload-pack"), answer(PACK, b"a/b")),
    "rsync's file list": (b"@RSYNCD: 31.0\nmodule\n", b"@RSYNCD: 31.0\n@RSYNCD: OK\n\0\0"),
    "a query that mentions one": (
        b"Q" + (len(QUOTE) + 20).to_bytes(4) + b"SELECT '" + QUOTE.encode() + b"';\0",
        b"T\0\0\0\x1d",
    ),
    "mail with an attachment": (
        f'EHLO a\r\nDATA\r\nContent-Type: application/json\r\n\r\n  "{QUOTE}"\r\n.\r\n'.encode(),
        b"220 mx ESMTP\r\n250-a\r\n354 go on\r\n",
    ),
    "imap that fetches": (
        b"a1 FETCH 1 BODY[]\r\n",
        f"* 1 FETCH (BODY[] {{9}}\r\n> {QUOTE}".encode(),
    ),
    "a torrent": (b"\x13BitTorrent protocol" + RANDOM.randbytes(48), b"\x13BitTorrent protocol"),
    "mqtt with JSON": (
        b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4me-1" + b"\x30\x14\0\4jobs" + b'{"job_id":"1"}',
        b"\x20\2\0\0",
    ),
    "syslog": (f"<14>1 - h app - - - {QUOTE}\n".encode(), b""),
    "statsd": (b"hashrate:12|g\nmining.subscribe:1|c\n", b""),
    "graphite": (b"mining.notify 1 1700000000\n", b""),
    "a chat": (b"PRIVMSG #pool :" + QUOTE.encode() + b"\r\n", b":a PRIVMSG b :" + QUOTE.encode()),
    "finger": (b"mining.subscribe\r\n", b"no such user\r\n"),
    "whois": (b"nanopool.org\r\n", b"Domain Name: NANOPOOL.ORG\r\n"),
    "zlib by itself": (zlib.compress(SOURCE.encode()), b""),
    "a PNG": (post(b"\x89PNG\r\n\x1a\n" + RANDOM.randbytes(200), kind="image/png"), b""),
    "safetensors": (post(b"\x40\0\0\0\0\0\0\0" + b'{"w":{"dtype":"F16"}}' + bytes(40)), b""),
    "a protobuf": (post(b"\0\0\0\0\x05\x0a\x03abc", kind="application/grpc"), b""),
}


@pytest.mark.parametrize(("sent", "received"), FLOWS.values(), ids=FLOWS.keys())
def test_nothing_is_proven(sent: bytes, received: bytes) -> None:
    findings = report_stream(sent, received).findings
    assert [each for each in findings if each.confidence != "suspicious"] == []


@pytest.mark.parametrize(("sent", "received"), FLOWS.values(), ids=FLOWS.keys())
def test_nor_in_pieces_nor_inside_tls(sent: bytes, received: bytes) -> None:
    sides: tuple[tuple[Direction, bytes], ...] = (("sent", sent), ("received", received))
    for direction, data in sides:
        findings = watch(data, 7, "tls stream", direction)
        assert [each for each in findings if each.confidence != "suspicious"] == []


def test_what_cannot_be_told_on_a_bare_stream() -> None:
    """A database's value or a file by FTP may be a miner's message at the start of a line; a miner
    behind a false greeting looks no different, so this is blocked."""
    stored = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%s\r\n" % (len(QUOTE), QUOTE.encode())
    assert [each.name for each in watch(stored, 7)] == ["stratum"]


@pytest.mark.parametrize("carrier", ["http body", "websocket"])
@pytest.mark.parametrize("text", [SOURCE, f"# Pool\n\n    {QUOTE}\n", f"<pre>\n{QUOTE}\n</pre>"])
def test_in_a_body_a_text_that_quotes_it_is_not_even_suspicious(carrier: str, text: str) -> None:
    assert watch(text.encode(), 50, carrier, "received") == []


def test_a_body_ends_where_its_length_says() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + b"x" * 19 + b"\n"
    (finding,) = watch(head + SUBSCRIBE, 7)
    assert (finding.name, finding.confidence) == ("stratum", "certain")
    (quoted,) = watch(head.replace(b"20", b"90") + SUBSCRIBE, 7)
    assert (quoted.name, quoted.confidence) == ("stratum", "suspicious")
