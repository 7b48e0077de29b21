"""Every door of SSH: forwards of all kinds, devices, X11, the agent, and what nobody knows."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32

from tests.unit.proxy.ssh.stage import stage

type Act = Callable[[asyncssh.SSHClientConnection], Awaitable[Any]]


async def _forward_port(agent: asyncssh.SSHClientConnection) -> None:
    await agent.forward_remote_port("", 9999, "127.0.0.1", 22)


async def _forward_any_port(agent: asyncssh.SSHClientConnection) -> None:
    await agent.forward_remote_port("0.0.0.0", 0, "127.0.0.1", 22)


async def _forward_socket(agent: asyncssh.SSHClientConnection) -> None:
    await agent.forward_remote_path("/tmp/door", "/tmp/inside")


REVERSE: dict[str, tuple[Act, str, str]] = {
    "port": (_forward_port, "remote-forward", "*:9999"),
    "any port": (_forward_any_port, "remote-forward", "0.0.0.0:0"),
    "socket": (_forward_socket, "unix-remote-forward", "/tmp/door"),
}


@pytest.mark.parametrize("name", REVERSE)
@pytest.mark.parametrize("more", ["", "shell: true", 'forwarding: {local: ["127.0.0.1:22"]}'])
def test_a_reverse_forward_is_refused_whatever_a_rule_says(
    tmp_path: Path, name: str, more: str
) -> None:
    forward, kind, detail = REVERSE[name]

    async def act() -> None:
        async with stage(tmp_path, more) as here, here.agent() as agent:
            with pytest.raises(asyncssh.ChannelListenError):
                await forward(agent)
            await agent.wait_closed()
            assert here.asked() == [("deny", kind, detail)]
            record = here.memory.records[-1]
            assert record["verdict"]["rule"] == "guards.ssh-reverse-forwarding"
            assert record["verdict"]["severity"] == "critical"
            assert record["gpu"]["status"] == "unavailable"

    asyncio.run(act())


def test_the_end_of_a_forward_that_never_was_ends_nothing_else(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            body = (String("localhost"), UInt32(9999))
            answer, _ = await agent._make_global_request(b"cancel-tcpip-forward", *body)
            assert answer == asyncssh.constants.MSG_REQUEST_FAILURE
            assert (await agent.run("status 0")).exit_status == 0
            assert here.asked()[0] == ("deny", "cancel-remote-forward", "localhost:9999")

    asyncio.run(act())


def test_a_forward_needs_a_rule_that_names_it(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            with pytest.raises(asyncssh.ChannelOpenError, match="no rule allows a forward to"):
                await agent.open_connection("127.0.0.1", 5432)
            assert here.far.connected == []
            assert here.asked() == [("deny", "local-forward", "127.0.0.1:5432")]

    asyncio.run(act())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


async def _forwarded(folder: Path, words: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """What comes back through an allowed forward to an echo server, and the verdicts."""
    target = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with target:
        place = f"127.0.0.1:{target.sockets[0].getsockname()[1]}"
        more = f'forwarding: {{local: ["{place}"]}}'
        async with stage(folder, more) as here, here.agent() as agent:
            host, _, port = place.partition(":")
            reader, writer = await agent.open_connection(host, int(port), encoding=None)
            writer.write(words)
            writer.write_eof()
            came = await reader.read()
        return came, here.memory.verdicts()


def test_an_allowed_forward_carries_bytes(tmp_path: Path) -> None:
    came, verdicts = asyncio.run(_forwarded(tmp_path, b"select 1"))
    assert came == b"select 1"
    assert {action for action, _ in verdicts} == {"allow"}


def test_too_many_forwards_are_refused(tmp_path: Path) -> None:
    async def act() -> None:
        target = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = target.sockets[0].getsockname()[1]
        more = f'forwarding: {{local: ["127.0.0.1:{port}"]}}\n      limits: {{forwards: 1}}'
        async with target, stage(tmp_path, more) as here, here.agent() as agent:
            _, writer = await agent.open_connection("127.0.0.1", port)
            with pytest.raises(asyncssh.ChannelOpenError, match="more than 1 forwards at once"):
                await agent.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            assert here.asked()[-1] == ("deny", "limit", "more than 1 forwards at once")

    asyncio.run(act())


def test_ssh_inside_an_allowed_forward_is_a_tunnel(tmp_path: Path) -> None:
    came, verdicts = asyncio.run(_forwarded(tmp_path, b"SSH-2.0-OpenSSH_9.2\r\n"))
    assert came == b""
    assert verdicts[-1] == ("deny", "guards.tunnels")


def test_a_socket_of_the_server_cannot_be_had(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            with pytest.raises(asyncssh.ChannelOpenError, match=r"the socket /run/docker\.sock"):
                await agent.open_unix_connection("/run/docker.sock")
            assert here.asked() == [("deny", "unix-local-forward", "/run/docker.sock")]

    asyncio.run(act())


def test_a_tunnel_device_is_refused(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            with pytest.raises(asyncssh.ChannelOpenError, match="no rule allows a tunnel device"):
                await agent.open_tun()
            assert here.asked() == [("deny", "tun", "")]

    asyncio.run(act())


def test_an_unknown_channel_is_refused(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            channel = asyncssh.channel.SSHTCPChannel(
                agent, asyncio.get_running_loop(), None, "strict", 1 << 16, 1 << 15
            )
            with pytest.raises(asyncssh.ChannelOpenError, match="an unknown request channel novel"):
                await channel._open(b"novel")
            assert here.asked() == [("deny", "unknown", "channel novel")]

    asyncio.run(act())


def test_an_unknown_global_request_is_refused_and_a_keepalive_is_not_recorded(
    tmp_path: Path,
) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            await agent._make_global_request(b"keepalive@openssh.com")
            answer, _ = await agent._make_global_request(b"novel@x")
            assert answer == asyncssh.constants.MSG_REQUEST_FAILURE
            assert here.asked() == [("deny", "unknown", "request novel@x")]

    asyncio.run(act())


REQUESTS = {
    "auth-agent-req@openssh.com": ("agent", "", ()),
    "x11-req": ("x11", "", (Boolean(False), String("MIT"), String("00"), UInt32(0))),
    "novel@x": ("unknown", "request novel@x", ()),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_request_that_nobody_can_carry_out_is_refused(
    tmp_path: Path, name: str, mode: str
) -> None:
    kind, detail, body = REQUESTS[name]

    async def act() -> None:
        async with stage(tmp_path, "shell: true", mode=mode) as here, here.agent() as agent:
            process = await agent.create_process("cat")
            assert not await process.channel._make_request(name.encode(), *body)
            process.stdin.write_eof()
            assert (await process.wait()).exit_status == 0
            assert ("deny", kind, detail) in here.asked()

    asyncio.run(act())
