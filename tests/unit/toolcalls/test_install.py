"""The hook in agents' configuration files: what is there stays, and it comes in once."""

import json
import shlex
import tomllib
from typing import Any

import pytest

from firewall.toolcalls.hook import AGENTS
from firewall.toolcalls.install import (
    TARGETS,
    InstallError,
    command,
    installed,
    installed_toml,
    uninstalled,
    uninstalled_toml,
)

SCRIPT = "/opt/my tools/firewall"
SHELL = "'/opt/my tools/firewall' hook {} || exit 2"
OTHERS: dict[str, Any] = {
    "theme": "dark",
    "hooks": {
        "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "lint"}]}],
        "BeforeTool": [{"hooks": [{"type": "command", "command": "firewall-like hook gemini2"}]}],
        "preToolUse": [{"type": "command", "bash": "lint", "command": "lint"}],
        "Stop": [],
    },
}
WITH_OTHERS = json.dumps(OTHERS, indent=4) + "\n"


def test_every_agent_has_a_place_and_says_what_it_cannot_promise() -> None:
    assert list(TARGETS) == list(AGENTS)
    assert all(target.limits.endswith(".") for target in TARGETS.values())


def test_the_command_blocks_where_the_firewall_does_not_start() -> None:
    assert command("codex", SCRIPT) == SHELL.format("codex")
    assert shlex.split(command("codex", SCRIPT))[0] == SCRIPT


def handler(agent: str, **more: object) -> dict[str, object]:
    return {"type": "command", "command": SHELL.format(agent), **more}


@pytest.mark.parametrize(
    ("agent", "event", "entry"),
    [
        (
            "claude-code",
            "PreToolUse",
            {"matcher": "*", "hooks": [handler("claude-code", timeout=40, onFailure="block")]},
        ),
        ("codex", "PreToolUse", {"hooks": [handler("codex", timeout=360)]}),
        (
            "gemini",
            "BeforeTool",
            {"matcher": "*", "hooks": [handler("gemini", name="agent-firewall", timeout=360_000)]},
        ),
        (
            "cursor",
            "beforeShellExecution",
            {"command": SHELL.format("cursor"), "timeout": 40, "failClosed": True},
        ),
        (
            "copilot",
            "preToolUse",
            {"type": "command", "bash": SHELL.format("copilot"), "timeoutSec": 40},
        ),
        ("openhands", "PreToolUse", {"matcher": "*", "hooks": [handler("openhands", timeout=360)]}),
    ],
)
def test_each_agents_own_entry_is_written(agent: str, event: str, entry: dict[str, Any]) -> None:
    document = json.loads(installed(agent, "", SCRIPT))
    assert document["hooks"][event] == [entry]
    assert document.get("version") == (1 if agent in ("cursor", "copilot") else None)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_agent_waits_longer_than_the_hook(agent: str) -> None:
    text = installed(agent, "", SCRIPT)
    times = [
        json.loads(line.strip(" ,").split(": ")[1])
        for line in text.split("\n")
        if '"timeout' in line
    ]
    assert times
    assert all(time > AGENTS[agent] for time in times)


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_there_stays_and_comes_back(agent: str) -> None:
    there = installed(agent, WITH_OTHERS, SCRIPT)
    document = json.loads(there)
    assert document["theme"] == "dark"
    for event, entries in OTHERS["hooks"].items():
        assert document["hooks"][event][: len(entries)] == entries
    assert there.startswith('{\n    "'), "it is indented as before"
    assert installed(agent, there, SCRIPT) == there, "once is enough"
    assert installed(agent, there, "/new/firewall").count("/new/firewall") == there.count(SCRIPT)
    gone = json.loads(uninstalled(agent, there))
    assert gone["hooks"] == OTHERS["hooks"]
    assert uninstalled(agent, WITH_OTHERS) == WITH_OTHERS


@pytest.mark.parametrize("agent", AGENTS)
def test_nothing_is_left_where_nothing_was(agent: str) -> None:
    assert uninstalled(agent, installed(agent, "", SCRIPT)) == ""
    assert uninstalled(agent, "") == ""


def test_a_handler_beside_ours_stays() -> None:
    document = json.loads(installed("claude-code", "", SCRIPT))
    document["hooks"]["PreToolUse"][0]["hooks"].append({"type": "command", "command": "lint"})
    (group,) = json.loads(uninstalled("claude-code", json.dumps(document)))["hooks"]["PreToolUse"]
    assert group == {"matcher": "*", "hooks": [{"type": "command", "command": "lint"}]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is no JSON"),
        ("// mine\n{}", "it is no JSON .comments are none either.: Expecting value: line 1"),
        ("[]", "it holds no JSON object"),
        ('{"hooks": []}', "hooks is no object"),
        ('{"hooks": {"PreToolUse": {}}}', "hooks.PreToolUse is no list"),
        ("[" * 100_000, "it is no JSON"),
    ],
)
def test_what_cannot_be_read_is_not_changed(text: str, reason: str) -> None:
    with pytest.raises(InstallError, match=reason):
        installed("claude-code", text, SCRIPT)
    with pytest.raises(InstallError, match=reason):
        uninstalled("claude-code", text)


TOML = '# mine\nmodel = "m"\n[[hooks.PreToolUse]]\nmatcher = "^Bash$"  # mine too'


@pytest.mark.parametrize("text", ["", TOML, f"{TOML}\n"])
def test_a_block_is_added_to_toml_once_and_taken_out(text: str) -> None:
    there = installed_toml(text, SCRIPT)
    assert there.startswith(text)
    ours = tomllib.loads(there)["hooks"]["PreToolUse"][-1]
    assert ours == {"hooks": [handler("codex", timeout=360)]}
    assert installed_toml(there, SCRIPT) == there
    assert uninstalled_toml(there).rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize("text", ["[", "hooks = {PreToolUse = 3}", "[hooks.PreToolUse]\nx = 1"])
def test_toml_that_cannot_take_it_is_not_changed(text: str) -> None:
    with pytest.raises(InstallError, match=r"it is no TOML, or hooks.PreToolUse no array"):
        installed_toml(text, SCRIPT)
