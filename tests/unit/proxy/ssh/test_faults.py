"""Whatever fails in the gateway is a recorded deny, and nothing reaches the server."""

import asyncio
import contextlib
from pathlib import Path

import asyncssh
import pytest

import firewall.judge
from tests.unit.proxy.ssh.stage import stage

POINTS = ["ssh.ask", "ssh.login", "ssh.channel", "ssh.relay", "ssh.message"]
LOGIN = b'{"id":1,"method":"login","params":{"login":"w","pass":"x","agent":"a/1"}}\n'


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_is_a_recorded_deny(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    for module in ("visit", "doors", "relay", "server"):
        monkeypatch.setattr(f"firewall.proxy.ssh.{module}.probe", fault)

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
    assert sorted(POINTS) == sorted(set(_probed(text)))


def _probed(text: str) -> list[str]:
    return [each.split('"')[1] for each in text.split("probe(")[1:] if each.startswith('"')]
