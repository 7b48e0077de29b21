"""`firewall protocols identify`: what it says of files, captures and standard input."""

import json
import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app
from tests.unit.protocols.captures.wire import conversation, pcap
from tests.unit.protocols.samples import LOGIN, SUBSCRIBE, client_hello
from tests.unit.protocols.test_tlsserver import certificate, flight

RUNNER = CliRunner()
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WEB = conversation([("sent", GET)], server=("fd00::1", 80), client=("fd00::2", 9))
CAPTURE = pcap([*conversation([("sent", SUBSCRIBE)]), *WEB])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bytes"


def test_a_stream(file: Path) -> None:
    file.write_bytes(LOGIN)
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "speaks json-rpc",
        "  mining (certain): monero-stratum",
        "    JSON-RPC method login with login, pass, in client bytes 0-58",
    ]


def test_standard_input_and_the_server_s_bytes() -> None:
    result = RUNNER.invoke(app, ["protocols", "identify", "-", "--received"], input=SUBSCRIBE)
    assert result.exit_code == 1
    assert "in server bytes 0-52" in result.output


def test_a_capture(file: Path) -> None:
    file.write_bytes(CAPTURE)
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == ("tcp 10.0.0.2:40000 -> 192.0.2.1:3333 speaks json-rpc")
    assert "HTTP" not in result.output.upper().replace("JSON-RPC", "")
    every = RUNNER.invoke(app, ["protocols", "identify", str(file), "--all"]).output
    assert "tcp [fd00::2]:9 -> [fd00::1]:80 speaks http" in every


def test_a_listed_name(file: Path) -> None:
    file.write_bytes(b"GET /job HTTP/1.1\r\nHost: next.ton-pool.club:80\r\n\r\n")
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 1
    assert "next.ton-pool.club is on a list (mining-pools.txt:" in result.output
    own = file.with_name("own.yaml")
    own.write_text("version: 1\nname: own\n")
    result = RUNNER.invoke(app, ["protocols", "identify", str(file), "-p", str(own)])
    assert (result.exit_code, result.output.count("\n")) == (0, 1)


def test_json_for_programs(file: Path) -> None:
    file.write_bytes(CAPTURE)
    result = RUNNER.invoke(app, ["protocols", "identify", str(file), "--json"])
    (report,) = map(json.loads, result.output.splitlines())
    assert (report["protocol"], report["server"]) == ("json-rpc", ["192.0.2.1", 3333])
    assert report["findings"][0]["confidence"] == "certain"


def test_nothing_found(file: Path) -> None:
    file.write_bytes(b"hello\n")
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert (result.exit_code, result.output) == (0, "speaks unknown\n")


def test_what_cannot_be_read(file: Path) -> None:
    file.write_bytes(CAPTURE[:24] + b"\xff" * 16)
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 2
    assert "a packet of 4294967295 bytes at byte 24" in result.output
    missing = RUNNER.invoke(app, ["protocols", "identify", str(file) + "-not-there"])
    assert missing.exit_code == 2


def test_what_a_peer_wrote_cannot_move_the_cursor(file: Path) -> None:
    file.write_bytes(b'CONNECT a\x1b[2J:1 HTTP/1.1\r\n\r\n{"method":"mining.\\u001b[2J"}\n')
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 1
    assert "\x1b" not in result.output


def test_the_names_of_a_certificate_are_looked_up(file: Path) -> None:
    pem = certificate("CN=x", "CN=x", "*.eu.nanopool.org")
    answer = flight(pem, ssl.TLSVersion.TLSv1_2)
    file.write_bytes(pcap(conversation([("sent", client_hello()), ("received", answer)])))
    result = RUNNER.invoke(app, ["protocols", "identify", str(file)])
    assert result.exit_code == 1
    assert "with a self-signed certificate (CN=x)" in result.output
    assert "eu.nanopool.org is on a list" in result.output
    assert "in TLS certificate of the server" in result.output
