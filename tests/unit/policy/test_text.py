from pathlib import Path

import pytest
import yaml

from firewall.policy import PolicyError
from firewall.policy.loading import PRESETS
from firewall.policy.text import Node, parse


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_read_is_what_pyyaml_reads(path: Path) -> None:
    text = path.read_text()
    assert parse(text, path.name).value == yaml.safe_load(text)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_key_stands_on_its_line(path: Path) -> None:
    lines = path.read_text().splitlines()

    def look(node: Node) -> int:
        named = [key for key in node.children if isinstance(key, str)]
        assert all(key in lines[node.children[key].line - 1] for key in named)
        return len(named) + sum(map(look, node.children.values()))

    assert look(parse(path.read_text(), path.name)) > 3


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "{" * 20_000])
def test_no_nesting_is_too_deep_to_be_told(text: str) -> None:
    with pytest.raises(PolicyError, match=r"x\.yaml:1: not YAML: exceeded maximum nesting depth"):
        parse(text, "x.yaml")
