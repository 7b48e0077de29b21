"""`firewall mcp` between the official SDK's client and server, over stdio."""

import asyncio
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

SERVER = Path(__file__).with_name("mcp_server.py")
POLICY = "version: 1\nname: mcp\nrules: []\n"


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
    assert result.isError
    assert "did not judge this" in _text(result)
