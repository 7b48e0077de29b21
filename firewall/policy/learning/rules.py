"""Rules from what was learned: as data, as the policy language has them, and whether it can."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from firewall.policy.acts import ProgramRule, ToolRule
from firewall.policy.document import RuleDocument
from firewall.policy.errors import PolicyError
from firewall.policy.flow import flow
from firewall.policy.learning.lessons import Item, Place, Unnameable
from firewall.policy.text import parse
from firewall.redaction import MARK

_MODELS: dict[str, type[BaseModel]] = {"program": ProgramRule, "tool": ToolRule}


def rule(place: Place, items: Iterable[Item], addresses: Iterable[str] = ()) -> dict[str, Any]:
    """The rule for a place and what is allowed there, without a name. `addresses` are those that
    are not public and that it consents to."""
    if place.section != "network":
        return _act(place, items)
    at: dict[str, Any] = {"hosts": [place.name], "ports": [place.port]}
    if consent := sorted(addresses):
        at["addresses"] = consent
    match place.kind:
        case "unread":
            return {"allow": "https", **at, "tls": "passthrough"}
        case "tcp":
            return {"allow": "tcp", **at}
        case "ssh":
            return {"allow": "ssh", **at, "users": [place.detail], **_inside(items)}
    return {"allow": place.kind, **at, "requests": [_request(*each) for each in sorted(items)]}


def _act(place: Place, items: Iterable[Item]) -> dict[str, Any]:
    """A program or tool: with exactly these arguments, or with what is known of many."""
    allow: dict[str, Any] = {"allow": [place.name]}
    if place.detail:
        return {**allow, "exactly": {"arguments": json.loads(place.detail)}}
    if place.kind == "program":
        return {**allow, "arguments": sorted(text for _, text in items)}
    where = {item[0]: json.loads(item[1]) for item in sorted(items) if item}
    return {**allow, "where": where} if where else allow


def _request(method: str, path: str, keys: str) -> dict[str, Any]:
    return {"method": method, "path": path, **(json.loads(keys) if keys else {})}


def _inside(items: Iterable[Item]) -> dict[str, Any]:
    """What may be asked for inside SSH. Variables are always told, as not all is the default."""
    told: dict[str, list[str]] = {}
    for key, value in sorted(items):
        told.setdefault(key, []).append(value)
    keys: dict[str, Any] = {key: told[key] for key in ("commands", "subsystems") if key in told}
    keys["env"] = told.get("env", [])
    if "shell" in told:
        keys["shell"] = True
    if "local" in told:
        keys["forwarding"] = {"local": told["local"]}
    if not told.keys().isdisjoint({"files", "read", "write"}):
        keys["files"] = {key: told[key] for key in ("read", "write") if key in told}
    return keys


def check(place: Place, item: Item, addresses: Iterable[str] = ()) -> None:
    """Raises Unnameable where the rule for one item would not be read back as what it says."""
    try:
        body = {"name": "learned", **rule(place, [item] if item else [], addresses)}
        text = f"rule: {flow(body)}\n"
        _MODELS.get(place.kind, RuleDocument).model_validate(body)
        same = parse(text, "learned").value == {"rule": body}
    except (ValidationError, PolicyError, RecursionError, UnicodeError):
        raise Unnameable("no rule can name it exactly") from None
    if MARK in text:
        raise Unnameable("a secret was taken out of its record")
    if not same:
        raise Unnameable("no rule can name it exactly")
