"""What honest programs say first, and what they are answered: nothing of it is a finding."""

import json
from typing import Any

import pytest

from firewall.protocols import Watch
from firewall.protocols.captures import report_stream
from firewall.requests import Direction
from tests.unit.protocols.samples import UPGRADE, frame


def rpc(method: str, params: Any, **more: Any) -> bytes:
    return json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more}
    ).encode()


def post(body: bytes, path: str = "/", kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: api.example\r\nContent-Type: {kind}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def framed(body: bytes) -> bytes:
    """As LSP and DAP frame it."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


STRATUM = '{"id": 1, "method": "mining.subscribe", "params": []}'
WALLET = "4" + "A" * 94
WORD = "0x" + "ab" * 32
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

FLOWS: dict[str, tuple[bytes, bytes]] = {
    # Wallets and nodes
    "ethereum batch": (
        post(
            b"["
            + rpc("eth_chainId", [])
            + b","
            + rpc("eth_getBlockByNumber", ["latest", True])
            + b"]"
        ),
        ANSWER
        + json.dumps(
            {"id": 1, "result": {"hash": WORD, "difficulty": "0x0", "nonce": "0x0"}}
        ).encode(),
    ),
    "ethereum send": (post(rpc("eth_sendRawTransaction", [WORD])), b""),
    "ethereum logs": (post(rpc("eth_getLogs", [{"topics": [WORD, WORD, WORD]}])), b""),
    "ethereum answer of words": (
        b"",
        ANSWER + json.dumps({"id": 1, "result": [WORD] * 3}).encode(),
    ),
    "ethereum subscription": (UPGRADE + frame(rpc("eth_subscribe", ["newHeads"])), b""),
    "ethereum over a socket": (rpc("eth_syncing", []) + b"\n", b'{"id":1,"result":false}\n'),
    "solana": (post(rpc("getLatestBlockhash", [{"commitment": "finalized"}])), b""),
    "bitcoin node": (post(rpc("getblock", ["00" * 32, 2])), b""),
    "bitcoin fees": (post(rpc("estimatesmartfee", [6])), b""),
    "monero wallet": (post(rpc("get_balance", {"account_index": 0}), "/json_rpc"), b""),
    "monero transfer": (
        post(rpc("transfer", {"destinations": [{"amount": 1, "address": WALLET}]}), "/json_rpc"),
        b"",
    ),
    "monero node": (
        b"GET /getheight HTTP/1.1\r\nHost: node.example\r\n\r\n",
        ANSWER + b'{"height": 1}',
    ),
    "electrum": (
        rpc("server.version", ["electrum/4.5", "1.4"])
        + b"\n"
        + rpc("blockchain.headers.subscribe", [])
        + b"\n",
        b'{"id":1,"result":{"hex":"%s","height":1}}\n' % (b"00" * 80),
    ),
    # Tools of developers
    "language server": (
        framed(rpc("initialize", {"processId": 1, "rootUri": None})),
        framed(b'{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"jobs":[]}}}'),
    ),
    "a file that quotes Stratum": (
        framed(rpc("textDocument/didOpen", {"textDocument": {"text": STRATUM + "\n" + STRATUM}})),
        b"",
    ),
    "debug adapter": (framed(b'{"seq":1,"type":"request","command":"initialize"}'), b""),
    "model context": (
        post(rpc("tools/call", {"name": "submit", "arguments": {"job_id": "1", "nonce": 2}})),
        b"",
    ),
    "model context by lines": (rpc("initialize", {"protocolVersion": "2025-06-18"}) + b"\n", b""),
    "browser devtools": (UPGRADE + frame(rpc("Runtime.evaluate", {"expression": STRATUM})), b""),
    "ansible": (b'{"method": "exec_command", "params": ["id"], "id": 7}\n', b""),
    "docker": (b"GET /v1.47/containers/json HTTP/1.1\r\nHost: docker\r\n\r\n", b""),
    "git": (b"0032git-upload-pack /project.git\0host=a.example\0", b"00000000"),
    "rsync": (b"@RSYNCD: 31.0\n", b"@RSYNCD: 31.0\n"),
    # Applications that log in, queue jobs, chat
    "login": (post(rpc("login", {"login": "bob", "pass": "hunter2"})), b""),
    "login with agent": (
        post(rpc("login", {"username": "bob", "password": "x", "agent": "app/1"})),
        b"",
    ),
    "login over a socket": (
        b'{"method":"login","params":{"user":"bob","password":"x"},"id":1}\n',
        b"",
    ),
    "job queue": (
        post(b'{"job_id":"7","result":"OK","nonce":"ab"}', "/submit"),
        ANSWER + b'{"result":{"job":{"job_id":"8","blob":"s3://bucket/key"},"status":"OK"}}',
    ),
    "chat": (UPGRADE + frame(json.dumps({"type": "auth", "params": {"token": "x"}}).encode()), b""),
    "chat that quotes": (UPGRADE + frame(json.dumps({"text": STRATUM}).encode()), b""),
    "a prompt that quotes": (
        post(
            json.dumps(
                {"messages": [{"role": "user", "content": f"what is\n{STRATUM}\n?"}]}
            ).encode()
        ),
        b"",
    ),
    "a log upload": (post(f"12:00 saw {STRATUM}\n".encode(), kind="text/plain"), b""),
    "heartbeats": (UPGRADE + frame(b'{"op":1,"d":null}') * 5, b""),
    "graphql": (UPGRADE + frame(b'{"type":"connection_init","payload":{}}'), b""),
    "stomp in a WebSocket": (UPGRADE + frame(b"CONNECT\naccept-version:1.2\n\n\0"), b""),
    "mqtt in a WebSocket": (
        UPGRADE + frame(b"\x10\x0c\0\x04MQTT\x04\2\0\x3c\0\0", first=0x82),
        b"",
    ),
    # Mail, files, directories, databases
    "smtp": (f"EHLO a\r\nDATA\r\nlog: {STRATUM}\r\n.\r\n".encode(), b"220 mx ESMTP\r\n250 ok\r\n"),
    "imap": (b"a001 LOGIN bob secret\r\n", b"* OK IMAP4rev1 ready\r\n"),
    "ftp": (b"USER anonymous\r\n", b"220 ready\r\n"),
    "irc": (b"NICK bob\r\nUSER bob 0 * :Bob\r\n", b":server 001 bob :Welcome\r\n"),
    "xmpp": (b"<?xml version='1.0'?><stream:stream to='a.example'>", b""),
    "postgres": (b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"),
    "postgres start": (b"\0\0\0\x29\0\3\0\0user\0bob\0database\0bob\0\0", b"R\0\0\0\x08\0\0\0\0"),
    "mysql": (b"", b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60)),
    "redis": (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    "memcached": (b"get key\r\n", b"END\r\n"),
    "mongodb": (b"\x3a\0\0\0\1\0\0\0\0\0\0\0\xd4\x07\0\0\0\0\0\0admin.$cmd\0", b""),
    "cassandra": (b"\x04\0\0\0\x05\0\0\0\0", b""),
    "kafka": (b"\0\0\0\x1a\0\x12\0\3\0\0\0\1\0\x0aconsumer-1\0", b""),
    "amqp": (b"AMQP\0\0\x09\1", b"\1\0\0\0\0\1\xf0"),
    "nats": (b'CONNECT {"verbose":false}\r\nPING\r\n', b'INFO {"server_id":"x"}\r\n'),
    "mqtt": (b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4me-1", b"\x20\2\0\0"),
    "zookeeper": (b"\0\0\0\x2d" + bytes(45), b""),
    "ldap": (b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0", b""),
    "smb": (b"\0\0\0\x2f\xfeSMB\x40\0\0\0" + bytes(40), b""),
    "nfs": (b"\x80\0\0\x28\x12\x34\x56\x78\0\0\0\0\0\0\0\2\0\1\x86\xa3" + bytes(20), b""),
    "rdp": (b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0", b""),
    "vnc": (b"RFB 003.008\n", b"RFB 003.008\n"),
    "x11": (b"l\0\x0b\0\0\0\0\0\0\0\0\0", b""),
    "modbus": (b"\0\1\0\0\0\6\1\3\0\0\0\x0a", b"\0\1\0\0\0\x05\1\3\2\0\0"),
    "bittorrent": (b"\x13BitTorrent protocol" + bytes(8) + bytes(range(20, 60)), b""),
    # What trains and serves models
    "jupyter kernel": (b"\xff\0\0\0\0\0\0\0\1\x7f", b"\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL"),
    "grpc": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\4\0\0\0\0\0", b"\0\0\6\4\0\0\0\0\0"),
    "process group store": (b"\2\0\0\0\x0c\0\0\0\0\0\0\0init/rank/00", b""),
    "metrics": (post(b'{"runs":[{"loss":0.5,"step":7,"job_id":"9"}]}', "/api/runs"), b""),
    "events": (
        b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
        b'HTTP/1.1 200 OK\r\n\r\ndata: {"job":"1"}\n\n',
    ),
    "minecraft": (b"\x10\0\xfd\5\x09localhost\x63\xdd\1\1\0", b""),
    "thrift": (b"\0\0\0\x18\x80\1\0\1\0\0\0\4ping\0\0\0\1\0", b""),
    "TrueType": (post(b"\0\1\0\0\0\x0f\0\x80\0\3\0\x70" + bytes(99), kind="font/ttf"), b""),
}


@pytest.mark.parametrize(("sent", "received"), FLOWS.values(), ids=FLOWS.keys())
def test_nothing_is_found(sent: bytes, received: bytes) -> None:
    assert report_stream(sent, received).findings == []


@pytest.mark.parametrize(("sent", "received"), FLOWS.values(), ids=FLOWS.keys())
@pytest.mark.parametrize("carrier", ["http body", "websocket", "tls stream", "grpc"])
def test_nor_in_another_carrier(sent: bytes, received: bytes, carrier: str) -> None:
    """But for whole HTTP requests inside messages, which are tunnels there."""
    sides: tuple[tuple[Direction, bytes], ...] = (("sent", sent), ("received", received))
    for direction, data in sides:
        found = Watch(carrier, direction).feed(data)
        assert {each.name for each in found} <= {
            f"http-in-{carrier}",
            f"http2-in-{carrier.replace(' ', '-')}",
        }
