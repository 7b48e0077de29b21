"""Every enforcement point is wrapped, is probed first, and is broken by some test."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "firewall").rglob("*.py")) + sorted((ROOT / "addons").rglob("*.py"))
TESTS = "\n".join(
    path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != __file__
)


def _probes() -> dict[str, Path]:
    """The points that are probed by a literal name, and where."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="probe"), args=[ast.Constant(value=point)]):
                    found[str(point)] = path
    return found


def test_there_are_points() -> None:
    assert len(_probes()) >= 15


@pytest.mark.parametrize("point", sorted(_probes()))
def test_some_test_breaks_each_point(point: str) -> None:
    names = (point, point.removeprefix("http."))
    assert any(f'"{name}"' in TESTS for name in names), f"no test injects a fault into {point}"


def _wrapped(path: Path) -> list[ast.With | ast.AsyncWith]:
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.With | ast.AsyncWith)
        and any("fail_closed(" in ast.unparse(item.context_expr) for item in node.items)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_wrapped_body_begins_with_its_probe(path: Path) -> None:
    for node in _wrapped(path):
        assert "probe(" in ast.unparse(node.body[0]), f"{path}:{node.lineno}"
