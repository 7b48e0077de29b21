"""OpenHands: hooks in the shape of Claude Code (OpenHands SDK, hooks).

Only the exit status 2 blocks; JSON that it does not understand lets the tool run.
"""

from collections.abc import Mapping
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import claude
from firewall.toolcalls.dialects.reply import BLOCK, Dialect, Reply


def read(event: Mapping[str, Any]) -> Call:
    return claude.read_as("openhands", event)


def deny(event: Mapping[str, Any], reason: str) -> Reply:
    return Reply(complaint=reason + "\n", status=BLOCK)


DIALECT = Dialect(read, deny)
