"""Reads programs and tool calls that a person wrote in a test or asks to have explained."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from firewall.commands import read_argv
from firewall.requests import Execute, ToolCall
from firewall.toolcalls.calls import Call, request_of


class CommandReader:
    """`policy.actcases.Reader`, by the same code that reads what agents send."""

    def call(
        self, tool: str, arguments: Mapping[str, Any], server: str, directory: str
    ) -> ToolCall:
        return request_of(Call(tool, arguments, server=server, directory=directory))

    def program(self, argv: Sequence[str], directory: str) -> Execute:
        """As the exec gate would ask; the file's digest is that of no file."""
        reading = read_argv(argv, directory)
        return Execute(
            argv[0] if argv else "",
            tuple(argv),
            directory,
            reading.findings,
            digest=_NO_FILE,
            commands=reading.commands,
        )


_NO_FILE = hashlib.sha256(b"").hexdigest()
