"""Sessions through the gateway: what is allowed works as without it, what is not is explained."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from firewall.verdict import Limit, Obligations
from tests.unit.proxy.ssh.stage import stage


def test_a_command_runs_with_its_status_and_its_streams(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            done = await agent.run("status 7", encoding=None)
            assert (done.exit_status, done.stderr) == (7, b"about to end")
            assert here.asked() == [("allow", "exec", "status 7")]
        (note,) = here.notes()
        assert (note["status"], note["channel"], note["detail"]) == (7, "exec", "status 7")
        assert note["user"] == "git"
        assert note["client_hassh"] != note["server_hassh"] != ""
        assert note["host_key"].startswith("SHA256:")

    asyncio.run(act())


def test_bytes_pass_both_ways_and_are_counted(tmp_path: Path) -> None:
    sent = bytes(range(256)) * 20_000

    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            done = await agent.run("cat", input=sent, encoding=None)
            assert done.stdout == sent
        (note,) = here.notes()
        assert (note["sent"], note["received"]) == (len(sent), len(sent))
        assert (here.traffic.sent, here.traffic.received) == (len(sent), len(sent))

    asyncio.run(act())


def test_a_death_by_signal_is_told(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            done = await agent.run("die")
            assert done.exit_signal is not None
            assert done.exit_signal[0] == "KILL"

    asyncio.run(act())


@pytest.mark.parametrize(
    "command",
    ["git-receive-pack 'o/r'", "git-upload-pack 'o/r'; id", "git-upload-pack `id`", "cat x"],
)
def test_another_command_is_refused_with_words_and_never_reaches_the_server(
    tmp_path: Path, command: str
) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            done = await agent.run(command)
            assert done.exit_status == 255
            assert f"Blocked by the firewall: no rule allows the command {command}" in str(
                done.stderr
            )
            assert here.far.started == []
            assert here.asked() == [("deny", "exec", command)]

    asyncio.run(act())


def test_variables_pass_that_are_harmless(tmp_path: Path) -> None:
    async def act() -> None:
        variables = {"LANG": "C", "LC_ALL": "C", "GIT_PROTOCOL": "version=2", "LD_PRELOAD": "x"}
        async with stage(tmp_path) as here, here.agent() as agent:
            await agent.run("status 0", env=variables)
            ((_, _, environment),) = here.far.started
            assert set(environment) == {"LANG", "LC_ALL", "GIT_PROTOCOL"}
            assert ("deny", "env", "LD_PRELOAD") in here.asked()

    asyncio.run(act())


def test_another_user_is_sent_away_with_the_reason(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path) as here:
            with pytest.raises(asyncssh.DisconnectError, match="no rule allows a login as root"):
                async with here.agent("root"):
                    pass
            assert here.everything() == [("deny", "login", "root")]

    asyncio.run(act())


def test_a_shell_and_a_terminal_need_a_word_in_the_rule(tmp_path: Path) -> None:
    async def act(more: str, terminal: str | None) -> list[tuple[str, str, str]]:
        async with stage(tmp_path, more) as here, here.agent() as agent:
            with contextlib.suppress(asyncssh.ChannelOpenError):
                await agent.run(term_type=terminal)
            return here.asked()

    assert asyncio.run(act("", "xterm")) == [("deny", "pty", "")]
    assert asyncio.run(act("", None)) == [("deny", "shell", "")]
    both = asyncio.run(act("shell: true", "xterm"))
    assert both == [("allow", "pty", ""), ("allow", "shell", "")]


def test_too_many_sessions_are_refused(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, "limits: {sessions: 2}") as here, here.agent() as agent:
            open_ = [await agent.create_process("cat") for _ in range(2)]
            with pytest.raises(asyncssh.ChannelOpenError, match="more than 2 sessions at once"):
                await agent.create_process("cat")
            open_[0].stdin.write_eof()
            await open_[0].wait()
            again = await agent.run("status 0")
            assert again.exit_status == 0

    asyncio.run(act())


def test_too_many_connections_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.proxy.ssh.gateway.CONNECTIONS", 1)

    async def act() -> None:
        async with stage(tmp_path) as here, here.agent():
            with pytest.raises(asyncssh.DisconnectError, match="more than 1 SSH connections"):
                async with here.agent():
                    pass
            assert here.asked() == [("deny", "limit", "more than 1 SSH connections at once")]

    asyncio.run(act())


def test_more_bytes_than_the_rule_allows_end_the_session(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, "limits: {sent: 100KB}") as here, here.agent() as agent:
            done = await agent.run("cat", input=bytes(200_000), encoding=None)
            assert "more than 100000 bytes sent" in str(done.stderr)
            assert ("deny", "limit", "more than 100000 bytes sent") in here.asked()
        (note,) = here.notes()
        assert note["blocked"] == "default"

    asyncio.run(act())


def test_more_bytes_than_pass_within_a_time_end_the_session(tmp_path: Path) -> None:
    """A limit over time is for all connections of the rule; the gate hands it over with each."""
    limit = Limit("box", "sent", 300_000, 3600, "rule", "300KB/h", "p.yaml:9")

    async def act() -> None:
        async with stage(tmp_path) as here:
            obliged = Obligations(ssh="gateway", limits=(limit,))
            here.verdict = replace(here.verdict, obligations=obliged)
            async with here.agent() as agent:
                done = await agent.run("cat", input=bytes(200_000), encoding=None)
                assert done.stdout == bytes(200_000)
            async with here.agent() as agent:
                done = await agent.run("cat", input=bytes(200_000), encoding=None)
                assert "the limit sent 300KB/h of rule box is reached" in str(done.stderr)
        (note,) = [each for each in here.notes() if "blocked" in each]
        assert note["blocked"] == "limits.box"

    asyncio.run(act())


def test_an_idle_connection_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.proxy.ssh.gateway.LOOK_SECONDS", 0.01)

    async def act() -> None:
        async with stage(tmp_path, "limits: {idle: 3s}") as here, here.agent() as agent:
            process = await agent.create_process("cat")
            await process.wait_closed()
            await agent.wait_closed()
            assert here.asked()[-1] == (
                "deny",
                "limit",
                "a connection idle for more than 3 seconds",
            )

    asyncio.run(act())


def test_mining_inside_a_session_ends_it(tmp_path: Path) -> None:
    login = b'{"id":1,"method":"login","params":{"login":"w","pass":"x","agent":"a/1"}}\n'

    async def act() -> None:
        async with stage(tmp_path) as here, here.agent() as agent:
            done = await agent.run("cat", input=login, encoding=None)
            assert "monero-stratum" in str(done.stderr)
            assert done.stdout == b""
            assert ("deny", "guards.mining") in here.memory.verdicts()

    asyncio.run(act())


def test_what_it_would_block_is_recorded_and_passes_where_it_only_observes(tmp_path: Path) -> None:
    async def act() -> None:
        async with stage(tmp_path, mode="observe") as here, here.agent() as agent:
            done = await agent.run("uptime")
            assert done.stdout == "done"
            assert here.asked() == [("deny", "exec", "uptime")]

    asyncio.run(act())
