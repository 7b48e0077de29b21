"""`firewall mcp` between the official SDK's client and server, over stdio."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.waiting import PATIENCE, eventually

SERVER = Path(__file__).with_name("mcp_server.py")
COMMAND = [sys.executable, "-m", "firewall.cli", "mcp"]


async def _session(tmp_path: Path, mode: str, *options: str) -> tuple[list[str], Any]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[*COMMAND[1:], *options, "--", sys.executable, str(SERVER)],
        env={"FIREWALL_STATE": str(tmp_path / "state")},
    )
    async with Client(parameters, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        return tools, await client.call_tool("add", {"one": 1, "two": 2})


def test_without_a_service_tools_are_listed_and_calls_denied(tmp_path: Path) -> None:
    tools, result = asyncio.run(_session(tmp_path, "legacy"))
    assert tools == ["add", "drop"]
    assert result.is_error
    assert "did not judge this" in result.content[0].text


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_policy_judges_in_this_process_and_records_the_call(tmp_path: Path, mode: str) -> None:
    log = tmp_path / "audit"
    _, result = asyncio.run(_session(tmp_path, mode, "--policy", "base", "--log", str(log)))
    written = b"".join(path.read_bytes() for path in log.rglob("*") if path.is_file())
    assert b'"tool":"add"' in written.replace(b": ", b":")
    assert (result.is_error, result.content[0].text) == (False, "3")


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_versions_with_a_handshake_pass(tmp_path: Path, version: str) -> None:
    about = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    messages = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "drop"}},
    ]
    answers = _exchange(tmp_path, messages, sys.executable, str(SERVER))
    assert answers[0]["result"]["protocolVersion"] == version
    assert (answers[1]["id"], answers[1]["result"]["isError"]) == (1, True)


def _exchange(tmp_path: Path, messages: list[Any], *server: str) -> list[Any]:
    """All answers to messages that a client writes at once, before it closes its end."""
    ended = subprocess.run(
        [*COMMAND, "--", *server],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path)},
        stdout=subprocess.PIPE,
        input=b"".join(json.dumps(each).encode() + b"\n" for each in messages),
        check=False,
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    return sorted(answers, key=lambda answer: answer["id"])


def test_who_waits_for_a_server_that_dies_is_told(tmp_path: Path) -> None:
    answers = _exchange(tmp_path, [{"id": 4, "method": "ping"}], "sh", "-c", "read line; exit 3")
    assert answers[0]["id"] == 4
    assert "ended with status 3" in answers[0]["error"]["message"]


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_the_exit_status_of_the_server_is_ours(tmp_path: Path, script: str, status: int) -> None:
    ended = subprocess.run(
        [*COMMAND, "--", "sh", "-c", f"echo hi >&2; {script}"],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path)},
        capture_output=True,
        input=b"",
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (status, b"hi\n")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "--", "no-such-server"],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = "firewall: the server no-such-server cannot be started: No such file or directory\n"
    assert (ended.returncode, ended.stderr) == (125, told)


def test_signals_reach_the_server(tmp_path: Path) -> None:
    script = "trap 'exit 9' TERM; echo '{}'; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*COMMAND, "--", "sh", "-c", script],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as proxy:
        assert proxy.stdout is not None
        assert proxy.stdout.readline() == b"{}\n"
        proxy.terminate()
        assert proxy.wait(20) == 9


def test_the_service_judges_and_says_what_can_never_be_called(tmp_path: Path) -> None:
    policy, where = tmp_path / "p.yaml", tmp_path / "tools.sock"
    rule = '{name: no-drop, deny: ["mcp__demo__drop"]}'
    policy.write_text(f"version: 1\nname: p\ntools:\n  rules:\n    - {rule}\n")
    environment = {"FIREWALL_STATE": str(tmp_path / "state"), "FIREWALL_TOOLS": str(where)}
    serve = [sys.executable, "-m", "firewall.cli", "tools", "serve"]
    with subprocess.Popen(
        [*serve, "--policy", str(policy), "--socket", str(where)],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    ) as service:
        eventually(where.exists, 30)
        parameters = StdioServerParameters(
            command=sys.executable,
            args=[*COMMAND[1:], "--name", "demo", "--", sys.executable, str(SERVER)],
            env=environment,
        )
        tools, allowed, denied = asyncio.run(_both(parameters))
        service.terminate()
    assert tools == ["add"]
    assert (allowed.is_error, allowed.content[0].text) == (False, "3")
    assert (denied.is_error, "rule: no-drop" in denied.content[0].text) == (True, True)


async def _both(parameters: StdioServerParameters) -> tuple[list[str], Any, Any]:
    async with Client(parameters, mode="legacy") as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        allowed = await client.call_tool("add", {"one": 1, "two": 2})
        return tools, allowed, await client.call_tool("drop", {"table": "users"})


def test_a_person_is_asked_and_a_rule_holds_from_then_on(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    rule = "{name: careful, ask: [mcp__mcp_server__add]}"
    policy.write_text(f"version: 1\nname: p\ntools: {{default: deny, rules: [{rule}]}}\n")
    answers = asyncio.run(_asking(tmp_path, policy))
    assert [(each.is_error, each.content[0].text.splitlines()[0]) for each in answers[:2]] == [
        (False, "3"),
        (False, "3"),
    ]
    assert (answers[2].is_error, "not today" in answers[2].content[0].text) == (True, True)


async def _asking(tmp_path: Path, policy: Path) -> list[Any]:
    """What comes of a call that becomes a rule, of the same again, and of one that is denied."""
    environment = {**os.environ, "FIREWALL_STATE": str(tmp_path / "state")}
    options = ["--name", "mcp_server", "--policy", str(policy), "--log", str(tmp_path / "audit")]
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[*COMMAND[1:], *options, "--", sys.executable, str(SERVER)],
        env=environment,
    )

    async def answered(client: Client, arguments: dict[str, int], *words: str) -> Any:
        call = asyncio.create_task(client.call_tool("add", arguments))
        await asyncio.to_thread(_answer, environment, *words)
        return await call

    async with Client(parameters, mode="legacy") as client:
        add = {"one": 1, "two": 2}
        first = await answered(client, add, "allow", "--rule", "--write")
        again = await client.call_tool("add", add)
        return [first, again, await answered(client, {"one": 2}, "deny", "--reason", "not today")]


def test_a_changed_policy_is_in_force_and_a_broken_one_is_not(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 1\nname: p\n")
    asyncio.run(_reloading(tmp_path, policy))


async def _reloading(tmp_path: Path, policy: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[*COMMAND[1:], "--name", "mcp_server", "--policy", str(policy), "--log",
              str(tmp_path / "audit"), "--label", "env=ci", "--", sys.executable, str(SERVER)],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path / "state")},
    )  # fmt: skip
    said = tmp_path / "stderr"
    with said.open("w") as errors:
        async with Client(stdio_client(parameters, errors), mode="legacy") as client:
            assert await _denied_by(client) == ""
            rule = "{name: changed, deny: [mcp__mcp_server__add], labels: {env: ci}}"
            policy.write_text(f"version: 1\nname: p\ntools: {{rules: [{rule}]}}\n")
            until = time.monotonic() + PATIENCE
            while not await _denied_by(client):
                assert time.monotonic() < until
            policy.write_text("nonsense")
            await asyncio.to_thread(eventually, lambda: "stays in force" in said.read_text())
            assert "rule: changed" in await _denied_by(client)


async def _denied_by(client: Client) -> str:
    answer = await client.call_tool("add", {"one": 1, "two": 2})
    told: Any = answer.content[0]
    return str(told.text) if answer.is_error else ""


def _answer(environment: dict[str, str], *words: str) -> None:
    folder = Path(environment["FIREWALL_STATE"]) / "approvals"
    (found,) = eventually(lambda: list(folder.glob("*.question")), 30)
    command = [*COMMAND[:-1], "approvals", words[0], found.stem, *words[1:]]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
