"""Changes to a policy's text that leave all the rest of it as a person wrote it, comments too."""

from typing import Any

import yaml


def compose(text: str) -> yaml.MappingNode:
    """The nodes of a policy that was loaded already, with the places where they stand."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return node


def member(node: yaml.Node | None, key: str) -> Any:
    """The value of a key; None where there is none."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def replaced(text: str, node: yaml.Node, by: str) -> str:
    """The text with something else in a node's place."""
    return text[: node.start_mark.index] + by + text[_end(text, node) :]


def with_rule(text: str, section: str, rule: str) -> str:
    """The text with one more rule, written as a flow mapping, as the section's last."""
    top = compose(text)
    part = member(top, section)
    rules = member(part, "rules")
    if isinstance(rules, yaml.SequenceNode) and rules.value:
        return _appended(text, rules, rule)
    if rules is not None:
        return replaced(text, rules, f"[{rule}]")
    if isinstance(part, yaml.MappingNode) and part.value:
        return _with_key(text, part, rule)
    if part is not None:
        return replaced(text, part, f"{{rules: [{rule}]}}")
    return f"{text.rstrip()}\n\n{section}:\n  rules:\n    - {rule}\n"


def _appended(text: str, rules: yaml.SequenceNode, rule: str) -> str:
    end = _end(text, rules.value[-1])
    if rules.flow_style:
        return f"{text[:end]}, {rule}{text[end:]}"
    return _line_after(text, end, " " * rules.start_mark.column + f"- {rule}")


def _with_key(text: str, part: yaml.MappingNode, rule: str) -> str:
    end = _end(text, part.value[-1][1])
    if part.flow_style:
        return f"{text[:end]}, rules: [{rule}]{text[end:]}"
    return _line_after(text, end, " " * part.start_mark.column + f"rules: [{rule}]")


def _line_after(text: str, position: int, line: str) -> str:
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{line}{text[end:]}"


def _end(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends; a block's mark is behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(node, yaml.MappingNode) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip())
