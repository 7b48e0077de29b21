"""Rules about tools: by name, by server, and by what stands in the arguments."""

import json
from collections.abc import Sequence as Several
from typing import Any

from firewall.deeds import Deed, Past, resolve, tool_file
from firewall.policy.after import Sequence, told
from firewall.policy.globs import Glob
from firewall.policy.jsonpaths import Place, parse
from firewall.policy.programs import change
from firewall.policy.resolved import ResolvedToolRule, ResolvedTools
from firewall.policy.rulings import DOES, Named, Ruling, order, weigh
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


class ToolRule:
    """A compiled rule of `tools.rules`."""

    __slots__ = ("_globs", "_places", "allows", "document", "sequence")

    def __init__(self, document: ResolvedToolRule) -> None:
        self.document = document
        self.allows = document.action == "allow"
        tools = document.tools
        self._globs = None if tools is None else [Glob(text) for text in tools]
        places = (document.where or {}).items()
        self._places = [(path, Place(path, wanted)) for path, wanted in places]
        self.sequence = Sequence(document.after) if document.after else None

    def names(self) -> tuple[str, ...] | None:
        """The globs that the rule is found by; None for any."""
        return self.document.tools

    def applies(self, called: Called, past: Past, own: Several[Deed], *, certain: bool) -> bool:
        """Whether the rule holds: certainly, or only perhaps."""
        return self.miss(called, certain=certain) == "" and (
            self.sequence is None or self.sequence.happened(past, own, called.files) is not None
        )

    def miss(self, called: Called, *, certain: bool = True) -> str:
        """What of the rule does not fit, but for `after`: "tools", or a path; "" where all fits."""
        names = (called.name,) if certain else called.names
        if self._globs is not None and not any(g.matches(n) for g in self._globs for n in names):
            return "tools"
        for path, place in self._places:
            if not place.holds(called.value, certain=certain):
                return path
        return ""


class Tools:
    """All that a policy says about tools."""

    def __init__(self, tools: ResolvedTools, file: str) -> None:
        ranked = sorted(tools.rules, key=lambda rule: order(rule.action, rule.name))
        self.rules = [ToolRule(rule) for rule in ranked]
        self._rank = {rule: place for place, rule in enumerate(self.rules)}
        self._named = Named(self.rules, ToolRule.names)
        self._default = Action(tools.default)
        self._file = file
        self._source = tools.default_source or file
        self._unnamed = Ruling(
            weigh(Action.ALLOW, 0),
            Action.ALLOW,
            "tools.default",
            "no rule names this tool: what it reaches is judged where it reaches it",
            source=self._source,
        )

    def judge(self, called: Called, past: Past, own: Several[Deed] = ()) -> Ruling:
        """What is made of the tool itself, whatever it runs."""
        found = self._named.find(called.names)
        if len(found) > 1:
            found.sort(key=self._rank.__getitem__)
        for rule in found:
            if rule.applies(called, past, own, certain=rule.allows):
                if self._loosens(rule, found, called, past, own):
                    break
                return self._ruled(rule, called, past, own)
        return self._unnamed if self._default is Action.ALLOW else self._by_default(called, found)

    def _loosens(
        self, rule: ToolRule, found: list[ToolRule], called: Called, past: Past, own: Several[Deed]
    ) -> bool:
        """Whether an ask that only perhaps holds would make a default deny an ask."""
        if rule.document.action != "ask" or self._default is not Action.DENY:
            return False
        others = (each for each in found if each is rule or each.allows)
        return not any(each.applies(called, past, own, certain=True) for each in others)

    def _ruled(self, rule: ToolRule, called: Called, past: Past, own: Several[Deed]) -> Ruling:
        document, action = rule.document, Action(rule.document.action)
        deed = rule.sequence.happened(past, own, called.files) if rule.sequence else None
        where = f" with such {', '.join(document.where)}" if document.where else ""
        parts = [
            f"rule {document.name} {DOES[action]} the tool {called.name}{where}",
            f" {told(deed, past.now)}" if deed else "",
            f": {document.reason}" if document.reason else "",
        ]
        remedy = "" if action is Action.ALLOW else change(action, document.name, document.source)
        return Ruling(
            weigh(action, 2), action, document.name, "".join(parts), remedy, document.source
        )

    def _by_default(self, called: Called, near: Several[ToolRule]) -> Ruling:
        """The default, which tells what the nearest allow lacks."""
        action = self._default
        reason = f"no rule allows the tool {called.name}, and tools.default is {action}"
        for rule in near:
            if rule.allows and (lack := rule.miss(called)):
                reason += f"; {lack} does not fit rule {rule.document.name}"
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in called.name.lower())
        name = slug.strip("-") or "tool"
        addition = f"{{name: {name}, allow: [{json.dumps(called.name)}]}}"
        remedy = f"add to tools.rules: {addition} ({self._file})"
        return Ruling(weigh(action, 0), action, "tools.default", reason, remedy, self._source)
