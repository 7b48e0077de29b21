"""An MCP server of the official SDK, for tests: two tools over stdio."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("demo")


@server.tool()
def add(one: int, two: int) -> int:
    """Add two numbers."""
    return one + two


if __name__ == "__main__":
    server.run("stdio")
