"""What the JSON body of a request asks: GraphQL operations, or JSON-RPC and MCP methods.

GraphQL over HTTP (draft of the GraphQL foundation, "Request"), a batch being a list of requests as
Apollo's servers take it; JSON-RPC 2.0, sections 4 and 6; MCP 2025-06-18, "Tools".
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from firewall.apis.graphql import graphql_acts
from firewall.requests import Act, Calls

READ_LIMIT = 1 << 20
"""Bytes of a body that is read; a longer one is not read at all."""

_BATCH_LIMIT = 1000
_JSON = re.compile(r"application/(?:[a-z0-9][a-z0-9!#$&^_.-]*\+)?json")
"""One type (RFC 6838, 4.2 and 6.2): of a list, servers take the first or the last."""
_DEPTH_ERRORS = (ValueError, RecursionError)
_PERSISTED = frozenset({"extensions", "id", "documentid", "doc_id", "queryid", "operationid"})
"""Members in which clients name a document that the server keeps, in lower case: Apollo's, Relay's
and those of drafts of GraphQL over HTTP."""
_IN_QUERY = _PERSISTED | {"query", "operationname", "variables"}
"""Parameters of a URL that GraphQL servers read before, or instead of, the body."""
_ENVELOPE = ("query", "extensions", "method", "params")


def readable_body(content_type: str) -> bool:
    """Whether a body of this type is one JSON text in UTF-8 (RFC 8259), read as one by everybody.

    >>> readable_body("application/json; charset=utf-8"), readable_body("text/plain")
    (True, False)
    """
    kind, *parameters = (each.strip().lower() for each in content_type.split(";"))
    return bool(_JSON.fullmatch(kind)) and all(
        each in ("", "charset=utf-8", 'charset="utf-8"') for each in parameters
    )


def begins_with_json(body: bytes) -> bool:
    """Whether a body that is said to be coded is JSON as it stands: many servers ignore what a
    request says of its coding, and some read no further than the first value."""
    text = body.decode(errors="replace").lstrip()
    try:
        return isinstance(json.JSONDecoder(strict=False).raw_decode(text)[0], dict | list)
    except _DEPTH_ERRORS as error:
        return isinstance(error, RecursionError)


def read_body(path: str, content_type: str, body: bytes | None) -> Calls:
    """What the body of a POST asks. `body` is decoded; None where it was too long or cannot be."""
    if body is None:
        return Calls(unread="it is too long, or its content coding is not known or not needed")
    if not readable_body(content_type):
        return Calls(unread=f"it is {content_type[:80] or 'of no type'}, and not application/json")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_one_meaning, parse_constant=_refuse)
    except _DEPTH_ERRORS as error:
        return Calls(unread=f"it is no plain JSON: {str(error)[:80]}")
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= _BATCH_LIMIT:
        return Calls(unread="it is a batch of none, or of too many")
    calls = Calls(_all(_graphql, items) if _plain_query(path) else None, _all(_rpc, items))
    if calls == Calls():
        return Calls(unread="it is neither a GraphQL document nor a JSON-RPC request")
    return calls


def query_calls(path: str) -> Calls | None:
    """What a GET asks of GraphQL in its URL; None where it says nothing of that."""
    pairs = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    names = [name.lower() for name, _ in pairs]
    if not _IN_QUERY & set(names):
        return None
    texts = [value for name, value in pairs if name == "query"]
    odd = len(names) != len(set(names)) or len(texts) != 1 or _persists(dict(pairs))
    acts = None if odd else graphql_acts(texts[0])
    return Calls(acts, unread="" if acts else "its URL is no one GraphQL document")


def _all(read: Any, items: list[Any]) -> tuple[Act, ...] | None:
    """The acts of all items; None where one of them cannot be read."""
    found = [read(each) for each in items]
    return None if None in found else tuple(act for acts in found for act in acts)


def _graphql(item: Any) -> tuple[Act, ...] | None:
    """A persisted query is opaque, even beside a text: which of the two runs is the server's."""
    if not isinstance(item, dict) or _persists(item):
        return None
    document = item.get("query")
    return graphql_acts(document) if isinstance(document, str) else None


def _persists(members: dict[str, Any]) -> bool:
    named = (value for name, value in members.items() if name.casefold() in _PERSISTED)
    return any(value not in (None, {}, "") for value in named)


def _rpc(item: Any) -> tuple[Act, ...] | None:
    """A request or notification; its subject is the tool of an MCP tools/call."""
    method = item.get("method") if isinstance(item, dict) else None
    if not isinstance(method, str) or not method:
        return None
    params = item.get("params")
    if method != "tools/call":
        return (Act(method, ""),)
    name = params.get("name") if isinstance(params, dict) else None
    return (Act(method, name),) if isinstance(name, str) and name else None


def _plain_query(path: str) -> bool:
    pairs = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    return not _IN_QUERY & {name.lower() for name, _ in pairs}


def _one_meaning(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Servers take the first or the last of two members of one name, and some (Go's encoding/json)
    take names that differ in case for one. C's end a name at a zero byte."""
    if len({name.casefold() for name, _ in pairs}) != len(pairs):
        raise ValueError("two members have one name")
    if any(name not in _ENVELOPE and name.casefold() in _ENVELOPE for name, _ in pairs):
        raise ValueError("a member's name is spelled in another case")
    if any("\0" in name for name, _ in pairs):
        raise ValueError("a member's name has a zero byte")
    return dict(pairs)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
