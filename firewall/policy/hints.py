"""What to write instead of a value that does not fit, guessed from what was likely meant."""

import re
from collections.abc import Sequence
from typing import Any

from firewall.policy.suggest import closest

_KNOWN = {
    "int_type": "a whole number",
    "string_type": 'text (numbers and true/false in "quotes")',
    "list_type": "a list: [one, two]",
    "model_type": "a mapping: key: value lines",
    "dict_type": "a mapping: key: value lines",
    "too_short": "at least one item, or leave the key out",
}
_RANGE = re.compile(r"[0-9]+ *- *[0-9]+")


def unknown_key(key: str, value: Any, known: Sequence[str]) -> str:
    """What to write instead of a key that there is not."""
    if key in ("path", "paths") and "requests" in known:
        paths = value if isinstance(value, list) else [value]
        return f"requests: [{', '.join(f'{{path: {each}}}' for each in paths)}]"
    return closest(key, known)


def misread(value: Any) -> str:
    """A remark where YAML made something else of a word than what was written, or ""."""
    return " (YAML reads on, yes, off and no as true and false)" if isinstance(value, bool) else ""


def fitting(path: str, error: dict[str, Any]) -> str:
    """What pydantic asks for at a place such as "network.rules.0.ports", without its way of
    saying it."""
    kind, value = error["type"], error["input"]
    key = next((each for each in reversed(path.split(".")) if not each.isdecimal()), path)
    if kind == "list_type" and isinstance(value, str | int):
        return f"{key}: [{value}]"
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return f"{value} without quotes"
    if kind == "int_type" and isinstance(value, str) and _RANGE.fullmatch(value):
        return "each port by itself: [8000, 8001]; there are no ranges"
    if kind == "string_type" and isinstance(value, float) and key == "hosts":
        return "a whole address such as 127.0.0.1, or a name"
    text = str(error["msg"]).removeprefix("Input should be ")
    return _KNOWN.get(kind, text)
