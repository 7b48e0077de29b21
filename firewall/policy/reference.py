"""The reference of the policy language for people, in Markdown, from its JSON Schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from firewall.policy.document import PolicyDocument

type Schema = Mapping[str, Any]

HEAD = """# The policy language: every key

Written by `firewall policy schema --markdown` from the schema that policies are checked by. The
language in one page is in [policy.md](policy.md); `firewall policy schema` prints the schema, for
editors.
"""


def reference() -> str:
    """The whole reference: a table for each mapping, in the order in which they are met."""
    schema = PolicyDocument.model_json_schema(by_alias=True)
    return "\n".join([HEAD, *_Writer(schema["$defs"]).sections("the file", schema)])


class _Writer:
    """Writes a mapping's section, then those of the mappings inside it, each once."""

    def __init__(self, known: Mapping[str, Schema]) -> None:
        self._known = known
        self._met: dict[str, str] = {}

    def sections(self, path: str, schema: Schema) -> Iterator[str]:
        yield from self._section(path, schema)
        for key, value in schema.get("properties", {}).items():
            place = key if path == "the file" else f"{path}.{key}"
            for name, many in self._mappings(value):
                if name not in self._met:
                    self._met[name] = f"{place}[]" if many else place
                    yield from self.sections(self._met[name], self._known[name])

    def _section(self, path: str, schema: Schema) -> Iterator[str]:
        yield f"## {path if ' ' in path else f'`{path}`'}\n"
        yield f"{schema.get('description', '').strip()}\n"
        yield "| key | value | if it is not written | what it is for |"
        yield "|---|---|---|---|"
        required = schema.get("required", ())
        for key, value in schema.get("properties", {}).items():
            default = "it must be" if key in required else _default(value)
            yield _row(f"`{key}`", self._type(value), default, self._purpose(value))
        yield ""

    def _purpose(self, value: Schema) -> str:
        """What a key's own description says, else the first paragraph of that of its mapping."""
        inside = [self._known[name].get("description", "") for name, _ in self._mappings(value)]
        text = value.get("description") or next(filter(None, inside), "")
        return " ".join(text.partition("\n\n")[0].split())

    def _mappings(self, value: Schema, many: bool = False) -> Iterator[tuple[str, bool]]:
        """The names of the mappings in a value, and whether it lists them."""
        name = value.get("$ref", "").rpartition("/")[2]
        if name and "properties" in self._known[name]:
            yield name, many
        for part in (*value.get("anyOf", ()), *value.get("oneOf", ())):
            yield from self._mappings(part, many)
        for inner in ("items", "additionalProperties"):
            if isinstance(value.get(inner), dict):
                yield from self._mappings(value[inner], True)

    def _type(self, value: Schema) -> str:
        if name := value.get("$ref", "").rpartition("/")[2]:
            known = self._known[name]
            return "a mapping, see below" if "properties" in known else self._type(known)
        parts = [each for each in (*value.get("anyOf", ()), *value.get("oneOf", ())) if each]
        if parts:
            texts = (self._type(each) for each in parts if each.get("type") != "null")
            return " or ".join(dict.fromkeys(filter(None, texts)))
        if words := value.get("enum") or ([value["const"]] if "const" in value else []):
            return ", ".join(f"`{json.dumps(word).strip(chr(34))}`" for word in words)
        return self._plain(value)

    def _plain(self, value: Schema) -> str:
        kind = value.get("type", "any value")
        if kind == "array":
            return f"a list of: {self._type(value.get('items', {}))}"
        if kind == "object":
            inner = value.get("additionalProperties")
            return f"names to: {self._type(inner)}" if isinstance(inner, dict) else "a mapping"
        bounds = [f"{word} {value[key]}" for key, word in _BOUNDS.items() if key in value]
        return " ".join([_WORDS.get(str(kind), str(kind)), *bounds])


_WORDS = {"string": "text", "integer": "a number", "number": "a number", "boolean": "true or false"}
_BOUNDS = {"minimum": "from", "maximum": "to"}


def _default(value: Schema) -> str:
    default = value.get("default")
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
