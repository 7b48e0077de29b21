"""Where the tool-call service is found. Imported by every hook's start, so it imports nothing."""

import os

VARIABLE = "FIREWALL_TOOLS"
START = (
    "start it with `firewall tools serve --policy POLICY`, or the agent with"
    " `firewall run --policy POLICY -- AGENT`"
)


def socket_path() -> str:
    """Where the service listens: $FIREWALL_TOOLS, else in the user's runtime folder."""
    if named := os.environ.get(VARIABLE):
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"{runtime}/agent-firewall/tools.sock"
