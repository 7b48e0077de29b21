"""YAML as plain data that remembers its lines.

Safe and bounded: only the types JSON has, no anchors (so no alias can multiply), no tags, no
duplicate keys, a limit on size and depth. Syntax: YAML 1.1 as PyYAML reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from firewall.policy.errors import Fault, PolicyError, Problem

SIZE_LIMIT = 8 << 20
"""Bytes of one file: some 200,000 host names."""

DEPTH_LIMIT = 16
"""Levels of nesting; the language itself needs seven."""

type Location = Sequence[int | str]


@dataclass(slots=True)
class Node:
    """A value of the file, the line it stands on, and the nodes inside it by key or position."""

    value: Any
    line: int
    children: dict[int | str, "Node"] = field(default_factory=dict)

    def line_of(self, location: Location) -> int:
        """The line of the value at `location`; steps that the file does not have are skipped."""
        node = self
        for step in location:
            node = node.children.get(step, node)
        return node.line


class _LineError(Exception):
    def __init__(self, mark: yaml.Mark, fault: Fault) -> None:
        super().__init__(str(fault))
        self.line = mark.line + 1
        self.fault = fault


if TYPE_CHECKING or not yaml.__with_libyaml__:
    _Parser = yaml.SafeLoader
else:

    class _Parser(Composer, SafeConstructor, Resolver, yaml.cyaml.CParser):
        """As SafeLoader, with libyaml's parser below it, which is ten times faster."""

        def __init__(self, text: str) -> None:
            yaml.cyaml.CParser.__init__(self, text)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)


class _Loader(_Parser):
    """Composes nodes as SafeLoader does, but refuses what a policy never needs."""

    depth: int = 0
    yaml_implicit_resolvers = {  # noqa: RUF012, the base class declares it so
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            fault = Fault("anchors and aliases are not allowed", "the value itself, in each place")
            raise _LineError(event.start_mark, fault)
        if event.tag is not None:
            fault = Fault(f"the tag {event.tag} is not allowed", "the value without a tag")
            raise _LineError(event.start_mark, fault)
        if self.depth == DEPTH_LIMIT:
            fault = Fault("nested too deeply", f"at most {DEPTH_LIMIT} levels")
            raise _LineError(event.start_mark, fault)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read(path: Path, file: str) -> Node:
    """Read a YAML file whose top is a mapping. `file` is what errors call it.

    Raises PolicyError: unreadable, too large, not UTF-8, or anything `parse` refuses.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
        if len(data) > SIZE_LIMIT:
            raise Fault(f"larger than {SIZE_LIMIT} bytes", "a smaller file; split it with extends")
        return parse(data.decode(), file)
    except OSError as error:
        problem = Problem(file, 1, f"cannot be read: {error.strerror}", "the path of a policy file")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = Problem(file, line, "not UTF-8 text", "the file in UTF-8")
    except Fault as fault:
        problem = Problem(file, 1, fault.what, fault.write)
    raise PolicyError([problem])


def parse(text: str, file: str) -> Node:
    """Parse YAML text whose top is a mapping. Raises PolicyError with the line of the fault."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise Fault("the file is empty", "version: 1, name: ... (see policies/base.yaml)")
        node = _node(loader, root)
        if not isinstance(node.value, dict):
            raise Fault("the file is not a mapping", "key: value lines, such as version: 1")
        return node
    except _LineError as error:
        problem = Problem(file, error.line, error.fault.what, error.fault.write)
    except Fault as fault:
        problem = Problem(file, 1, fault.what, fault.write)
    except yaml.YAMLError as error:
        problem = _syntax(_worded(error, text), text, file)
    raise PolicyError([problem])


def _worded(error: yaml.YAMLError, text: str) -> yaml.YAMLError:
    """The same fault in the words of PyYAML's own parser, which say more than libyaml's."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as own:
        return own
    except RecursionError:  # of what libyaml refuses as nested too deeply
        pass
    return error


def _node(loader: _Loader, node: yaml.Node) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, line)
    if isinstance(node, yaml.SequenceNode):
        items = [_node(loader, item) for item in node.value]
        return Node([item.value for item in items], line, dict(enumerate(items)))
    try:
        return Node(loader.construct_object(node), line)
    except ValueError as error:
        raise _LineError(node.start_mark, Fault(f"not a value: {error}", "it in quotes")) from error


def _mapping(loader: _Loader, node: yaml.MappingNode, line: int) -> Node:
    children: dict[int | str, Node] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        if not isinstance(key, str) or key_node.tag != "tag:yaml.org,2002:str":
            raise _LineError(key_node.start_mark, Fault("a key must be text", "it in quotes"))
        if key in children:
            fault = Fault(
                f"the key {key!r} stands twice (first on line {children[key].line})",
                "it once, with everything that belongs to it",
            )
            raise _LineError(key_node.start_mark, fault)
        children[key] = _node(loader, value_node)
        children[key].line = key_node.start_mark.line + 1
    return Node({str(key): child.value for key, child in children.items()}, line, children)


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else text[: getattr(error, "position", 0)].count("\n") + 1
    lines = text.splitlines()
    if line <= len(lines) and lines[line - 1].lstrip(" ").startswith("\t"):
        return Problem(file, line, "a tab indents this line", "spaces")
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(file, line, f"not YAML: {what}", "valid YAML (check the line before it too)")
