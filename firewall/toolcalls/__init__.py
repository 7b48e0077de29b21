"""Tool calls: agents' hooks, the MCP proxy, model APIs on the wire, HTTP and Python interfaces."""
