"""`firewall mcp` between the official SDK's client and server, over stdio."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

SERVER = Path(__file__).with_name("mcp_server.py")


async def _session(tmp_path: Path, *options: str) -> tuple[list[str], CallToolResult]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "firewall.cli", "mcp", *options, "--", sys.executable, str(SERVER)],
        env={"FIREWALL_STATE": str(tmp_path / "state")},
    )
    async with stdio_client(parameters) as streams, ClientSession(*streams) as client:
        await client.initialize()
        tools = [tool.name for tool in (await client.list_tools()).tools]
        return tools, await client.call_tool("add", {"one": 1, "two": 2})


def _text(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def test_without_a_service_tools_are_listed_and_calls_denied(tmp_path: Path) -> None:
    tools, result = asyncio.run(_session(tmp_path))
    assert tools == ["add"]
    assert result.is_error
    assert "did not judge this" in _text(result)


def test_a_policy_judges_in_this_process_and_records_the_call(tmp_path: Path) -> None:
    log = tmp_path / "audit"
    _, result = asyncio.run(_session(tmp_path, "--policy", "base", "--log", str(log)))
    written = b"".join(path.read_bytes() for path in log.rglob("*") if path.is_file())
    assert b'"tool":"add"' in written.replace(b": ", b":")
    assert (result.is_error, _text(result)) == (False, "3")


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_the_exit_status_of_the_server_is_ours(tmp_path: Path, script: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "firewall.cli", "mcp", "--", "sh", "-c", f"echo hi >&2; {script}"],
        env={**os.environ, "FIREWALL_STATE": str(tmp_path)},
        capture_output=True,
        input=b"",
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (status, b"hi\n")
