"""Rules about tools: by name, by server, and by what stands in the arguments."""

import json
from collections.abc import Mapping
from collections.abc import Sequence as Several
from typing import Any

from firewall.deeds import resolve, tool_file
from firewall.policy.globs import Glob
from firewall.policy.holding import NO_LABELS
from firewall.policy.jsonpaths import UNREADABLE, Place, parse
from firewall.policy.resolved import ResolvedToolRule, ResolvedTools
from firewall.policy.rulings import ActRule, Ruling, Section, weigh
from firewall.requests import ToolCall
from firewall.verdict import Action


class Called:
    """A tool call as rules see it. `name` tells tools of different servers apart; a deny also
    knows a tool by its bare name."""

    __slots__ = ("_value", "call", "name", "names")

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        bare = not call.server or call.tool.startswith("mcp__")
        self.name = call.tool if bare else f"mcp__{call.server}__{call.tool}"
        self.names = (self.name,) if bare else (self.name, call.tool)
        self._value: Any = self

    @property
    def value(self) -> Any:
        """The arguments, parsed when first needed."""
        if self._value is self:
            self._value = parse(self.call.arguments)
        return self._value

    @property
    def files(self) -> tuple[str, ...]:
        """The file that the arguments name."""
        path = tool_file(self.call.arguments)
        return (resolve(path, self.call.directory),) if path else ()


class ToolRule(ActRule[ResolvedToolRule, Called]):
    """A compiled rule of `tools.rules`."""

    __slots__ = ("_exactly", "_globs", "_places")

    def __init__(self, document: ResolvedToolRule, labels: Mapping[str, str]) -> None:
        super().__init__(document, labels)
        tools = document.tools
        self._globs = None if tools is None else [Glob(text) for text in tools]
        places = (document.where or {}).items()
        self._places = [(path, Place(path, wanted)) for path, wanted in places]
        self._exactly = document.exactly and _text(document.exactly.arguments)

    def names(self) -> tuple[str, ...] | None:
        """The globs that the rule is found by; None for any."""
        return self.document.tools

    def miss(self, called: Called, *, certain: bool = True) -> str:
        """What of the rule does not fit, but for `after`: "tools", or a path; "" where all fits."""
        names = (called.name,) if certain else called.names
        if self._globs is not None and not any(g.matches(n) for g in self._globs for n in names):
            return "tools"
        for path, place in self._places:
            if not place.holds(called.value, certain=certain):
                return path
        if self._exactly is not None and self._exactly != _text(called.value):
            return "exactly"
        return ""


def _text(value: Any) -> str:
    """Arguments as one text; what is no JSON has none."""
    return "" if value is UNREADABLE else json.dumps(value, sort_keys=True)


class Tools(Section[ToolRule, Called]):
    """All that a policy says about tools."""

    def __init__(
        self, tools: ResolvedTools, file: str, labels: Mapping[str, str] = NO_LABELS
    ) -> None:
        super().__init__([ToolRule(rule, labels) for rule in tools.rules], tools.default)
        self._file = file
        self._source = tools.default_source or file
        self._unnamed = Ruling(
            weigh(Action.ALLOW, 0),
            Action.ALLOW,
            "tools.default",
            "no rule names this tool: what it reaches is judged where it reaches it",
            source=self._source,
        )

    def _what(self, rule: ToolRule, called: Called) -> str:
        where = rule.document.where
        return f"the tool {called.name}{f' with such {", ".join(where)}' if where else ''}"

    def _by_default(self, called: Called, near: Several[ToolRule]) -> Ruling:
        """The default, which tells what the nearest allow lacks."""
        action = self._default
        if action is Action.ALLOW:
            return self._unnamed
        reason = f"no rule allows the tool {called.name}, and tools.default is {action}"
        for rule in near:
            if rule.allows and not rule.document.exactly and (lack := rule.miss(called)):
                reason += f"; {lack} does not fit rule {rule.document.name}"
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in called.name.lower())
        name = slug.strip("-") or "tool"
        addition = f"{{name: {name}, allow: [{json.dumps(called.name)}]}}"
        remedy = f"add to tools.rules: {addition} ({self._file})"
        return Ruling(weigh(action, 0), action, "tools.default", reason, remedy, self._source)
