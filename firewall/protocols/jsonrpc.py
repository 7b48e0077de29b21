"""Raw JSON on a socket: JSON-RPC by lines or whole, mining or not."""

import re
from typing import Any

from firewall.protocols.identity import MORE, Answer, Identity
from firewall.protocols.jsonstream import Cut, Documents, decode
from firewall.protocols.mining.messages import inspect_values
from firewall.requests import Finding

_FIRST_VALUE_LIMIT = 4 << 10
"""Bytes of a first message. Every call scans them anew, so they are few; logins stay below 2 KiB,
and `Watch` reads what is longer."""

_BEGIN = re.compile(rb"[\s\x00\x1e\xef\xbb\xbf]*+(?:[{\[]|\Z)")


def recognise(data: bytes) -> Answer:
    """Identify JSON by its first complete value."""
    if not _BEGIN.match(data):
        return None
    reader = Documents(anywhere=False)
    cuts = reader.feed(data[:_FIRST_VALUE_LIMIT])
    if cuts:
        return _identify(cuts[0])
    return MORE if not reader.finished and len(data) < _FIRST_VALUE_LIMIT else None


def _identify(cut: Cut) -> Identity | None:
    values = list(decode(cut.text))
    if not values:
        return None
    where = f"client bytes {cut.start}-{cut.end - 1}"
    findings = tuple(
        Finding(sign.kind, sign.name, sign.evidence, where)
        for sign in inspect_values(values, raw=True)
    )
    return Identity("json-rpc" if _is_rpc(values[0]) else "unknown", findings=findings)


def _is_rpc(value: Any) -> bool:
    """JSON-RPC 1 and 2, alone or in a batch: a method, or an answer to an id."""
    if isinstance(value, list):
        return any(_is_rpc(item) for item in value if isinstance(item, dict))
    return "method" in value or "jsonrpc" in value or ("id" in value and "result" in value)
