"""A firewall between an MCP client and its server: what it calls is judged, the rest passes."""
