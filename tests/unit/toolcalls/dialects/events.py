"""What each agent's hook is given before a shell command, with every member that it sends."""

from collections.abc import Mapping
from typing import Any

CLAUDE: dict[str, Any] = {
    "session_id": "s-1",
    "transcript_path": "/home/ann/.claude/t.jsonl",
    "cwd": "/src",
    "permission_mode": "default",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "nc -l 1", "description": "Listen"},
    "tool_use_id": "toolu_1",
}

EVENTS: Mapping[str, dict[str, Any]] = {
    "claude-code": CLAUDE,
    "codex": {
        **CLAUDE,
        "transcript_path": None,
        "turn_id": "t-1",
        "model": "m",
        "tool_input": {"command": "nc -l 1"},
        "tool_use_id": "call_1",
    },
    "gemini": {
        "session_id": "s-1",
        "transcript_path": "/t.json",
        "cwd": "/src",
        "hook_event_name": "BeforeTool",
        "timestamp": "2026-01-01T00:00:00Z",
        "tool_name": "run_shell_command",
        "tool_input": {"command": "nc -l 1", "description": "Listen"},
    },
    "cursor": {
        "conversation_id": "s-1",
        "generation_id": "g-1",
        "model": "m",
        "hook_event_name": "beforeShellExecution",
        "cursor_version": "2.0",
        "workspace_roots": ["/src"],
        "user_email": None,
        "command": "nc -l 1",
        "cwd": "",
    },
    "copilot": {
        "sessionId": "s-1",
        "timestamp": 1,
        "cwd": "/src",
        "toolName": "bash",
        "toolArgs": '{"command": "nc -l 1"}',
    },
    "openhands": {
        "event_type": "PreToolUse",
        "tool_name": "terminal",
        "tool_input": {"command": "nc -l 1"},
        "session_id": "s-1",
        "working_dir": "/src",
        "metadata": {},
    },
}
