"""The depth process as the gate sees it: a real process at the end of a channel."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from firewall.actor import Actor, Process
from firewall.causes import Cause, shut_by
from firewall.deeds import Deed
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy import handover
from firewall.proxy.depth import Depth
from firewall.proxy.handover import Handover, Setup
from firewall.requests import ToolCall
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ACTOR,
    ALLOW,
    HOST,
    SUBSCRIBE,
    Stage,
    answering,
    get,
    read_all,
    swallow,
    until,
)
from tests.unit.proxy.stage import Memory
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: test
network:
  rules:
    - {name: good, allow: https, hosts: [good.test], ports: [PORT], addresses: ["127.0.0.0/8"]}
"""
QUARANTINE = POLICY + "guards: {on-critical: freeze}\n"
AFTER_UPLOAD = (
    POLICY
    + """
tools:
  rules:
    - {name: no-more, deny: [Send], after: {did: upload}}
"""
)
NOTHING = "version: 1\nname: nothing\n"
MEGABYTE = 1 << 20


class Gate:
    """The gate's end of the channel."""

    def __init__(self, stage: Stage, folder: Path, port: int) -> None:
        self.stage = stage
        self.folder = folder
        self.port = port
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE)
        with theirs:
            command = [sys.executable, "-m", "firewall.proxy.depthstart", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))

    def setup(self, policy: str, quarantined: Verdict | None = None) -> None:
        path = self.folder / "policy.yaml"
        path.write_text(policy.replace("PORT", str(self.port)))
        self.setup_with(load_policy(path).dump(), quarantined)

    def setup_with(self, dump: str, quarantined: Verdict | None = None) -> None:
        setup = Setup(
            policy=dump,
            audit=str(self.folder / "audit"),
            chain="depth-1",
            authority=str(self.stage.authority),
            upstream_ca=self.stage.upstream_ca,
            release="firewall sandbox release test",
            quarantined=quarantined,
        )
        handover.send_setup(self.channel, setup)

    def give(self, number: int = 1, **changes: Any) -> socket.socket:
        """Hand a flow over; the client's socket."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
            accepted, address = listener.accept()
        given = Handover(
            **{
                "kind": "intercept",
                "flow": number,
                "client": address,
                "host": HOST,
                "port": self.port,
                "address": "127.0.0.1",
                "protocol": "tls",
                "sni": HOST,
                "actor": ACTOR,
                "verdict": ALLOW,
                **changes,
            }
        )
        with accepted:
            handover.send(self.channel, "flow", handover.encode(given), (accepted.fileno(),))
        return client

    def tls(self, alpn: str = "http/1.1", **changes: Any) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.stage.our_ca)
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(self.give(**changes), server_hostname=HOST)

    def status(self) -> bytes:
        """The first line of the answer to a request."""
        with self.tls() as client:
            client.sendall(get())
            return client.recv(65536)[:12]

    def refusal(self) -> str:
        """The reason that a request is refused for."""
        with self.tls() as client:
            client.sendall(get())
            page = until(client, b"to allow it:").decode()
        assert page.startswith("HTTP/1.1 403 ")
        assert "  rule: quarantine\n" in page
        return page.partition("why: ")[2].partition("\n")[0]

    def report(self, kind: str) -> dict[str, Any]:
        """The next report of a kind."""
        while True:
            message = handover.receive(self.channel)
            assert message is not None, "the depth process has ended"
            if message[0] == kind:
                return message[1]

    def memory(self) -> int:
        """The process's resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) << 10

    def records(self) -> list[dict[str, Any]]:
        lines = (
            line
            for path in sorted((self.folder / "audit").rglob("*.log"))
            for line in path.read_text().splitlines()
        )
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def gate(stage: Stage, folder: Path, port: int, policy: str = POLICY) -> Iterator[Gate]:
    here = Gate(stage, folder, port)
    try:
        here.setup(policy)
        yield here
    finally:
        here.channel.close()
        try:
            assert here.process.wait(PATIENCE) == 0
        finally:
            here.process.kill()
            here.process.wait()


def test_flows_are_judged_recorded_and_reported(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port) as here:
            with here.tls(number=7) as client:
                client.sendall(get("/a"))
                assert until(client, b"hello").startswith(b"HTTP/1.1 200 OK")
                client.sendall(get("/b").replace(HOST.encode(), b"evil.test"))
                assert until(client, b"why:").startswith(b"HTTP/1.1 403 ")
            rules = [here.report("verdict")["event"]["verdict"]["rule"] for _ in range(2)]
            assert rules[0] == "good"
            closed = here.report("closed")
        assert closed["flow"] == 7
        assert closed["sent"] > len(get("/a"))
        assert closed["received"] > len(b"hello")
        assert b"/b" not in server.received
        verdicts = [each["verdict"] for each in here.records() if each["kind"] == "verdict"]
        assert [each["action"] for each in verdicts] == ["allow", "deny"]
        assert [each["rule"] for each in verdicts] == rules


def test_the_flow_of_an_endless_command_line_is_served_and_recorded_whole(tmp_path: Path) -> None:
    argv = ("python3", "-c", "\x01" * 60_000)
    program = Actor("test", Process(11, 2.5, "/usr/bin/python3", argv, 1000))
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port) as here:
            with here.tls(actor=program) as client:
                client.sendall(get())
                assert until(client, b"hello").startswith(b"HTTP/1.1 200 OK")
            here.report("closed")
        (record,) = (each for each in here.records() if each["kind"] == "verdict")
        assert record["actor"]["process"]["argv"] == list(argv)


def test_stratum_inside_tls_to_a_refused_host_is_recorded_as_mining(tmp_path: Path) -> None:
    with Stage() as stage, gate(stage, tmp_path, 1) as here:
        with here.tls(kind="refuse", address=None) as client:
            client.sendall(SUBSCRIBE)
            assert read_all(client) == b""
        event = here.report("verdict")["event"]
        assert event["verdict"]["rule"] == "guards.mining"
        assert event["verdict"]["severity"] == "critical"


def test_a_new_policy_takes_over(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port) as here:
            codes = [here.status()]
            here.setup(NOTHING)
            codes.append(here.status())
            assert codes == [b"HTTP/1.1 200", b"HTTP/1.1 403"]


def test_what_it_allowed_is_told_to_the_gate(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port, AFTER_UPLOAD) as here, here.tls() as client:
            client.sendall(get().replace(b"GET", b"POST", 1))
            deed, *more = handover.decode_deeds(here.report("deeds"))
            assert (deed.what, deed.object, more) == ("upload", HOST, [])
            assert deed.at > 0


def test_what_the_gate_allowed_is_known_here(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(AFTER_UPLOAD.replace("PORT", "443"))
    memory = Memory()
    judge = Judge(load_policy(policy), memory, memory, memory)

    async def told(channel: socket.socket) -> None:
        depth = Depth(channel)
        depth._deputy = SimpleNamespace(judge=judge)  # type: ignore[assignment]
        depth._take("deeds", handover.encode_deeds([Deed("upload", "a.test", 1.0)]), [])

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert judge.preview(ToolCall("Send", "{}"), ACTOR).rule == "tools.default"
        asyncio.run(told(theirs))
    assert judge.preview(ToolCall("Send", "{}"), ACTOR).rule == "no-more"


def test_a_critical_block_shuts_its_door_and_is_reported_first(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port, QUARANTINE) as here:
            with here.tls(kind="refuse", address=None) as client:
                client.sendall(SUBSCRIBE)
                assert read_all(client) == b""
            cause = Cause(**here.report("quarantine"))
            assert (cause.rule, cause.freeze) == ("guards.mining", True)
            assert cause.trigger is not None
            assert cause.trigger["verdict"]["severity"] == "critical"
            assert here.report("verdict")["event"]["verdict"]["rule"] == "guards.mining"
            assert here.refusal() == shut_by(cause, "firewall sandbox release test").reason
            here.setup(POLICY)
            assert here.refusal() == shut_by(cause, "firewall sandbox release test").reason, (
                "what began here ends only with the process"
            )
        assert server.received == b""


def test_a_quarantine_of_the_gate_is_obeyed_until_it_is_released(tmp_path: Path) -> None:
    shut = shut_by(Cause("by-hand", "somebody asked"), "release it")
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port) as here:
            assert here.status() == b"HTTP/1.1 200"
            here.setup(POLICY, shut)
            assert here.refusal() == shut.reason
            here.setup(POLICY)
            assert here.status() == b"HTTP/1.1 200"


def test_a_new_process_begins_in_quarantine(tmp_path: Path) -> None:
    shut = shut_by(Cause("by-hand", "somebody asked"), "release it")
    with Stage() as stage:
        here = Gate(stage, tmp_path, 1)
        here.setup(POLICY, shut)
        with here.channel:
            assert here.refusal() == shut.reason
        assert here.process.wait(PATIENCE) == 0


def test_a_retired_process_cuts_its_flows_and_tells_what_they_carried(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        with gate(stage, tmp_path, server.port) as here:
            with here.tls(number=9) as client:
                client.sendall(get())
                assert here.report("verdict")["event"]["verdict"]["rule"] == "good"
                here.channel.shutdown(socket.SHUT_WR)
                closed = here.report("closed")
                assert read_all(client) == b""
            assert closed["flow"] == 9
            assert closed["sent"] > len(get())


def test_it_ends_rather_than_go_on_by_an_old_policy(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with gate(stage, tmp_path, server.port) as here:
            assert here.status() == b"HTTP/1.1 200"
            here.setup_with("{")
            here.process.wait(PATIENCE)


def test_it_dies_with_the_gate_and_its_flows_with_it(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        with gate(stage, tmp_path, server.port) as here:
            client = here.tls()
            client.sendall(get())
            assert here.report("verdict")["event"]["verdict"]["rule"] == "good"
            here.channel.close()
            assert here.process.wait(PATIENCE) == 0
            with client:
                assert read_all(client) == b""
        assert "good" in [each["verdict"]["rule"] for each in here.records() if "verdict" in each]


def test_without_an_authority_it_does_not_start(tmp_path: Path) -> None:
    with Stage() as stage:
        here = Gate(stage, tmp_path, 1)
        stage.authority = tmp_path
        here.setup(POLICY)
        with here.channel, here.give() as client:
            assert here.process.wait(PATIENCE) != 0
            assert read_all(client) == b""


@pytest.mark.timeout(600)
def test_memory_stays_flat_however_long_a_body_is(tmp_path: Path) -> None:
    size = 256 * MEGABYTE

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(256):
            writer.write(b"x" * MEGABYTE)
            await writer.drain()

    with Stage() as stage:
        server = stage.upstream(endless)
        with gate(stage, tmp_path, server.port) as here, here.tls() as client:
            client.sendall(get())
            received = len(until(client, b"\r\n\r\n"))
            before = here.memory()
            buffer = bytearray(MEGABYTE)
            while received < size:
                received += client.recv_into(buffer)
            assert here.memory() - before < 40 * MEGABYTE


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_client_that_stops_reading_stops_the_server(tmp_path: Path, alpn: str) -> None:
    written = 0  # bytes that the server could hand to its socket for whoever stopped

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        stopped = b"GET /stopped " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4096 * MEGABYTE))
        while True:
            writer.write(b"x" * MEGABYTE)
            await writer.drain()
            written += MEGABYTE if stopped else 0

    with Stage() as stage:
        server = stage.upstream(endless)
        with gate(stage, tmp_path, server.port) as here, here.tls(alpn) as client:
            before = here.memory()
            client.sendall(get("/stopped") if alpn == "http/1.1" else http2_get("/stopped"))
            eventually(lambda: written)
            _read_beside(here, 64 * MEGABYTE)
            filled = written
            _read_beside(here, 64 * MEGABYTE)
            assert filled == written < 40 * MEGABYTE
            assert here.memory() - before < 40 * MEGABYTE


def _read_beside(here: Gate, size: int) -> None:
    """Read what another client is sent, and so give the server time for the first."""
    with here.tls(number=2) as client:
        client.sendall(get())
        buffer = bytearray(MEGABYTE)
        while size > 0:
            size -= client.recv_into(buffer)


def http2_get(path: str) -> bytes:
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]
    h2.send_headers(1, pseudo, end_stream=True)
    return h2.data_to_send()
