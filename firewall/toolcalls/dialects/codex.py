"""Codex: the PreToolUse hook (codex-rs/hooks, pre_tool_use.rs).

It honours a deny with a reason and nothing else: an `ask` is an unsupported answer, on which the
tool runs.
"""

from collections.abc import Mapping
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import claude
from firewall.toolcalls.dialects.reply import Dialect


def read(event: Mapping[str, Any]) -> Call:
    return claude.read_as("codex", event)


DIALECT = Dialect(read, claude.deny)
