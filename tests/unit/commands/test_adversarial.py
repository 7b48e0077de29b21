"""Spellings that try to pass a policy for a coding agent, and harmless look-alikes."""

import json
import re
from pathlib import Path

import pytest

from firewall.commands import read_shell
from firewall.deeds import resolve

TEXTS = [
    json.loads(line)
    for line in Path(__file__).with_name("adversarial.jsonl").read_text().splitlines()
]
"""`caught` is by what a text is stopped, "" for one that must pass."""

_SHELLS = {"nc", "ncat", "netcat", "nc.traditional", "socat", "telnet"}
_DENIED = {
    "git.push", "ssh.forward-remote", "ssh.tunnel-device", "reverse-shell", "mining", "remote-code",
    "tunnel",
}  # fmt: skip
_KEYS = re.compile(r"(?:~|/home/u)/\.ssh(?:/|\Z)")


def caught(text: str) -> list[str]:
    """What a policy with rules against remote shells, doors, pushes and keys would name."""
    reading = read_shell(text, "/home/u/src")
    found = [opaque.why and "opaque" for opaque in reading.opaque]
    found += [finding.kind for finding in reading.findings]
    for command in reading.commands:
        name = (command.words[0] or "" if command.words else "").rpartition("/")[2]
        found += ["remote shell"] if name in _SHELLS else []
        found += [intent.name for intent in command.intents if intent.name in _DENIED]
        files = (resolve(file, command.directory) for file in command.reads)
        found += ["keys" for file in files if _KEYS.match(file)]
    return found


@pytest.mark.parametrize("hostile", [True, False], ids=["hostile", "harmless"])
def test_spellings(hostile: bool) -> None:
    texts = [each for each in TEXTS if bool(each["caught"]) is hostile]
    assert len(texts) > 100
    found = {each["text"]: caught(each["text"]) for each in texts}
    expected = {each["text"]: [each["caught"]] if hostile else [] for each in texts}
    assert {
        text: each for text, each in found.items() if not set(expected[text]) <= set(each)
    } == {}
    assert hostile or not any(found.values())
