from pathlib import Path

import pytest
import yaml

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
