"""What the headers of an MCP request say of its body, and whether that is true.

Streamable HTTP since 2026-07-28 (SEP-2243): Mcp-Method and Mcp-Name mirror the body, so that others
route by them; where they lie, what was judged is not what runs.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

MISMATCH = -32020
"""JSON-RPC's code for HeaderMismatch, with HTTP status 400."""
VERSION = "io.modelcontextprotocol/protocolVersion"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The member of `params` that Mcp-Name mirrors."""

_MIRRORS = (b"mcp-method", b"mcp-name", b"mcp-protocol-version")
_PARAMETER = b"mcp-param-"
_BEFORE, _AFTER = "=?base64?", "?="

type Headers = Sequence[tuple[bytes, bytes]]


def mismatch(headers: Headers, body: Any) -> str | None:
    """Why the headers (names in lower case) do not fit the body; None where they do."""
    mirrors = [(name, value) for name, value in headers if name in _MIRRORS]
    found = dict(mirrors)
    if len(found) < len(mirrors):
        return "a header of MCP stands twice"
    if not isinstance(body, dict):
        return "a batch has no Mcp-Method" if len(found.keys() - {_MIRRORS[2]}) else None
    wanted = dict(zip(_MIRRORS, _mirrored(body), strict=True))
    modern = wanted[b"mcp-protocol-version"] is not None
    for name, want in wanted.items():
        if name in found and (modern or name != _MIRRORS[2]) and decode(found[name]) != want:
            return f"{name.decode()} is not what the body says"
        if modern and name not in found and want is not None:
            return f"{name.decode()} is missing"
    return _lying_parameter(headers, body)


def decode(value: bytes) -> str | None:
    """A header's text, which may stand in Base64; None where it cannot be read."""
    text = value.decode("latin-1")
    if not (text.startswith(_BEFORE) and text.endswith(_AFTER)):
        return text
    try:
        plain = base64.b64decode(text[len(_BEFORE) : -len(_AFTER)], validate=True)
        return plain.decode()
    except (binascii.Error, ValueError):
        return None


def _mirrored(body: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    method, params = body.get("method"), body.get("params")
    params = params if isinstance(params, dict) else {}
    meta = params.get("_meta")
    version = meta.get(VERSION) if isinstance(meta, dict) else None
    return _text(method), _text(params.get(NAMED.get(str(method), ""))), _text(version)


def _lying_parameter(headers: Headers, body: dict[str, Any]) -> str | None:
    """Mcp-Param-* mirrors arguments that a tool's schema names; each must be some argument."""
    params = body.get("params")
    arguments = params.get("arguments") if isinstance(params, dict) else None
    given = [(name, value) for name, value in headers if name.startswith(_PARAMETER)]
    known = set(_scalars(arguments)) if given else set()
    for name, value in given:
        if decode(value) not in known:
            return f"{name.decode()} is no argument of the body"
    return None


def _scalars(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting.extend(members.values())
            case bool() as truth:
                yield str(truth).lower()
            case str() | int() | float() as scalar:
                yield str(scalar)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
