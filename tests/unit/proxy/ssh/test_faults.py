"""Whatever fails in the gateway is a recorded deny, and nothing reaches the server."""

import asyncio
import contextlib
from pathlib import Path

import asyncssh
import pytest

import firewall.judge
from tests.unit.proxy.ssh.stage import stage

SESSION = ["ssh.ask", "ssh.login", "ssh.channel", "ssh.relay", "ssh.message"]
CONNECTION = ["ssh.global", "ssh.open"]
LOGIN = b'{"id":1,"method":"login","params":{"login":"w","pass":"x","agent":"a/1"}}\n'


def _inject(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    for module in ("visit", "doors", "relay", "server"):
        monkeypatch.setattr(f"firewall.proxy.ssh.{module}.probe", fault)


@pytest.mark.parametrize("point", CONNECTION)
def test_a_fault_about_the_connection_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    _inject(monkeypatch, point)

    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            with contextlib.suppress(asyncssh.Error, asyncssh.ChannelListenError, OSError):
                if point == "ssh.open":
                    await agent.open_tun()
                await agent.forward_remote_port("", 9999, "127.0.0.1", 22)
            await agent.wait_closed()
            assert ("deny", f"fail-closed.{point}") in here.memory.verdicts()
            assert here.far.started == []

    asyncio.run(act())


def test_a_malformed_forward_is_recorded_and_ends_the_connection(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            with contextlib.suppress(asyncssh.Error, OSError):
                await agent._make_global_request(b"tcpip-forward", b"\xff\xff\xff\xff")
            await agent.wait_closed()
            assert ("deny", "fail-closed.ssh.global") in here.memory.verdicts()

    asyncio.run(act())


@pytest.mark.parametrize("point", SESSION)
def test_a_fault_is_a_recorded_deny(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    _inject(monkeypatch, point)

    async def act() -> None:
        async with stage(tmp_path) as here:
            came: object = None
            with contextlib.suppress(asyncssh.Error, OSError):
                async with here.agent() as agent:
                    done = await agent.run("cat", input=LOGIN, encoding=None)
                    came = done.stdout
            assert not came
            assert ("deny", f"fail-closed.{point}") in here.memory.verdicts()

    asyncio.run(act())


def test_a_full_disk_lets_nothing_in(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here:
            here.memory.full = True
            with pytest.raises(asyncssh.DisconnectError, match="No space left"):
                async with here.agent():
                    pass
            assert here.far.started == []

    asyncio.run(act())


def test_the_points_are_all_there_are() -> None:
    folder = Path(firewall.judge.__file__).parent / "proxy" / "ssh"
    text = "".join(each.read_text() for each in folder.glob("*.py"))
    assert sorted(SESSION + CONNECTION) == sorted(set(_probed(text)))


def _probed(text: str) -> list[str]:
    return [each.split('"')[1] for each in text.split("probe(")[1:] if each.startswith('"')]
