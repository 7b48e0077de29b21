"""Values in YAML's flow style, in printable ASCII only: what an agent wrote cannot end a comment,
begin a key, or be read as anything but the same text."""

import json
import re
from typing import Any

_KEY = re.compile(r"[a-z]+(-[a-z]+)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_OTHER = re.compile(r"[^ -~]")


def flow(value: Any) -> str:
    """A value of JSON as YAML 1.1 reads it alike, on one line.

    >>> flow({"method": "GET", "odd key": ["\\x7f", 1.5, None]})
    '{method: "GET", "odd key": ["\\\\u007f", 1.5, null]}'
    """
    match value:
        case str():
            return quoted(value)
        case dict():
            return f"{{{', '.join(f'{_key(key)}: {flow(each)}' for key, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(flow, value))}]"
        case float() if "." not in (text := json.dumps(value)):
            return text.replace("e", ".0e")  # what has no point is a text in YAML 1.1
    return json.dumps(value)


def quoted(text: str) -> str:
    """A text in double quotes: as JSON, but for what JSON leaves as it is or splits in two."""
    return _OTHER.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _key(text: str) -> str:
    return text if _KEY.fullmatch(text) and text not in _WORDS else quoted(text)
