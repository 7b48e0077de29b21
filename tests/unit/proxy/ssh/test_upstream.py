"""Towards the server: the right host or none, and the login that the policy names."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import asyncssh
import pytest

from tests.unit.proxy.ssh.stage import POLICY, Stage, stage
from tests.waiting import eventually

LOGIN = 'host-keys: ["{fingerprint}"]\n      login: {{key: {key}}}'


def _policy(lines: str) -> str:
    assert LOGIN in POLICY
    return POLICY.replace(LOGIN, lines)


async def _refusal(here: Stage) -> str:
    """What an agent that logs in is told as it is sent away."""
    before = len(here.far.started)
    with pytest.raises(asyncssh.DisconnectError) as refused:
        async with here.agent():
            pass
    assert len(here.far.started) == before
    return str(refused.value)


async def _works(here: Stage) -> None:
    async with here.agent() as agent:
        assert (await agent.run("status 3")).exit_status == 3


def test_another_host_key_than_the_rules_is_a_deny(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, fingerprint="SHA256:" + "A" * 43) as here:
            told = await _refusal(here)
            assert "it shows SHA256:" in told
            assert "names other keys (SSH key exchange; certain)" in told
            assert "(rule: guards.protocol-mismatch)" in told
            assert here.everything()[-1] == ("deny", "host-key", "box.test")

    asyncio.run(act())


def test_an_unknown_host_is_a_deny_that_shows_its_key(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, policy=_policy("login: {{key: {key}}}")) as here:
            told = await _refusal(here)
            assert "no key is known for it; it shows SHA256:" in told
            assert 'add to rule box: host-keys: ["SHA256:' in told

    asyncio.run(act())


def test_a_host_may_be_known_from_elsewhere(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, policy=_policy("login: {{key: {key}}}")) as here:
            key = await asyncssh.get_server_host_key("127.0.0.1", here.port)
            assert key is not None
            public = key.export_public_key().decode()
            here.gateway.hosts.text = f"[box.test]:{here.port} {public}"
            await _works(here)

    asyncio.run(act())


def test_another_key_than_the_known_one_is_a_deny(tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()

    async def act() -> None:
        async with stage(tmp_path, policy=_policy("login: {{key: {key}}}")) as here:
            here.gateway.hosts.text = f"[box.test]:{here.port} {other}"
            assert "another key is known for it" in await _refusal(here)

    asyncio.run(act())


def test_a_host_is_learnt_once_where_the_rule_says_so(tmp_path: Path) -> None:
    lines = "host-keys: learn\n      login: {{key: {key}}}"

    async def act() -> None:
        async with stage(tmp_path, policy=_policy(lines)) as here:
            await _works(here)
            await _works(here)
            learnt = here.gateway.hosts.learnt
            assert learnt.read_text().count(f"[box.test]:{here.port} ssh-ed25519 ") == 1
            other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
            learnt.write_text(f"[box.test]:{here.port} {other}")
            assert "another key is known for it" in await _refusal(here)

    asyncio.run(act())


def test_a_server_that_does_not_let_the_user_in_is_no_block(tmp_path: Path) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(other)

    async def act() -> None:
        async with stage(tmp_path, key=str(other)) as here:
            told = await _refusal(here)
            assert "box.test does not let git in: Permission denied" in told
            assert "Name a key that it knows in login of rule box" in told
            assert {action for action, _ in here.memory.verdicts()} == {"allow"}

    asyncio.run(act())


def test_a_server_that_is_down_is_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(address: str, port: int) -> socket.socket:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr("firewall.proxy.ssh.upstream._dial", refuse)

    async def act() -> None:
        async with stage(tmp_path) as here:
            assert "could not reach the server: box.test: nobody listens" in await _refusal(here)
            assert {action for action, _ in here.memory.verdicts()} == {"allow"}

    asyncio.run(act())


def test_a_certificate_is_minted_for_minutes_and_permits_no_forwarding(tmp_path: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    authority.write_private_key(tmp_path / "user-ca")
    minted = f"{{{{certificate: {{{{authority: {tmp_path}/user-ca, minutes: 2}}}}}}}}"
    lines = 'host-keys: ["{fingerprint}"]\n      login: ' + minted

    async def act() -> None:
        public = authority.export_public_key().decode()
        async with stage(tmp_path, policy=_policy(lines)) as here:
            here.far.authorized = f"cert-authority {public}"
            await _works(here)
            (connection,) = here.far.connections
            for permission in ("port-forwarding", "agent-forwarding", "X11-forwarding", "pty"):
                assert not connection.check_certificate_permission(permission)

    asyncio.run(act())


def test_a_password_comes_from_a_secrets_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = 'host-keys: ["{fingerprint}"]\n      login: {{password: "env:BOX_PASSWORD"}}'
    monkeypatch.setenv("BOX_PASSWORD", "open sesame")

    async def act() -> None:
        async with stage(tmp_path, policy=_policy(lines)) as here:
            await _works(here)
            monkeypatch.delenv("BOX_PASSWORD")
            told = await _refusal(here)
            assert "the secret env:BOX_PASSWORD cannot be read" in told

    asyncio.run(act())


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="not installed: ssh-agent")
def test_a_key_may_stay_in_an_agent_of_the_host(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as short:  # a socket's path has 108 bytes at most
        place = f"{short}/agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
        lines = 'host-keys: ["{fingerprint}"]\n      login: {{agent: ' + place + "}}"

        async def act() -> None:
            async with stage(tmp_path, policy=_policy(lines)) as here:
                assert "does not let git in" in await _refusal(here)
                (tmp_path / "key").chmod(0o600)
                add = ["ssh-add", "-q", str(tmp_path / "key")]
                subprocess.run(add, check=True, env={**os.environ, "SSH_AUTH_SOCK": place})
                await _works(here)

        try:
            eventually(lambda: Path(place).exists())
            asyncio.run(act())
        finally:
            agent.terminate()
            agent.wait()


def test_a_key_or_an_agent_that_is_not_there_is_no_block(tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_text("no key")

    async def act(login: str) -> str:
        lines = 'host-keys: ["{fingerprint}"]\n      login: ' + login
        async with stage(tmp_path, policy=_policy(lines)) as here:
            told = await _refusal(here)
            assert {action for action, _ in here.memory.verdicts()} == {"allow"}
            return told

    missing = tmp_path / "missing"
    assert "No such file" in asyncio.run(act(f"{{{{key: {missing}}}}}"))
    assert "Invalid private key" in asyncio.run(act(f"{{{{key: {tmp_path}/nonsense}}}}"))
    assert f"no ssh-agent answers at {missing}" in asyncio.run(act(f"{{{{agent: {missing}}}}}"))
