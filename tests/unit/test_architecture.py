"""The house stays the house: imports run one way, files stay short, points fail closed."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "firewall").rglob("*.py")) + sorted((ROOT / "addons").rglob("*.py"))

FLOORS = (
    {"frozen"},
    {"keyformats"},
    {"requests", "verdict", "actor", "domains", "words", "redaction", "places", "windows"},
    {"notes", "credentials", "causes", "quota", "marked"},
    {"deeds", "workloads", "ports", "apis"},
    {"history"},
    {"policy", "protocols", "commands", "gpu", "audit", "metrics"},
    {"events", "lookout", "charging", "held"},
    {"vault", "recording"},
    {"judge"},
    {"proxy", "sandbox", "toolcalls", "alerting"},
    {"node"},
    {"sidecar", "fleet"},
    {"cli", "addons"},
)
"""From the ground up. A room imports only rooms of lower floors, and itself."""

LINES = 400


def _room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "addons" if parts[0] == "addons" else parts[1].removesuffix(".py")


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def _imported_rooms(tree: ast.AST) -> set[str]:
    rooms = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("firewall.")}
    return rooms - {"__version__"}


def test_there_is_something_to_check() -> None:
    assert {_room(path) for path in SOURCES} >= {"policy", "judge", "proxy", "sandbox", "addons"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    imported = _imported_rooms(ast.parse(path.read_text())) - {room}
    wrong = {other for other in imported if _floor(other) >= _floor(room)}
    assert not wrong, f"{room} must not import {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


def test_only_the_judge_asks_the_policy() -> None:
    """`Policy.decide` is called by the judge and, to explain, by the policy room itself."""
    callers = {
        _room(path)
        for path in SOURCES
        if re.search(r"policy\.decide\(", path.read_text()) and _room(path) != "policy"
    }
    assert callers == {"judge"}
