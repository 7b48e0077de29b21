"""An MCP server of the official SDK, for tests: over stdio, or over HTTP on the port given."""

import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("demo")


@server.tool()
async def add(one: int, two: int, context: Context) -> int:
    """Add two numbers."""
    await context.report_progress(1, 2)
    return one + two


@server.tool()
def drop(table: str) -> str:
    """Drop a table."""
    return f"dropped {table}"


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]), json_response=sys.argv[2] == "json")
    else:
        server.run("stdio")
