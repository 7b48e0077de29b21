"""What differs between two policies in effect: over their resolved forms, not over their YAML."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from firewall.frozen import frozen
from firewall.policy.policy import Policy

_PLACES = ("name", "source", "default_source", "opaque_source")
"""Keys that say what a part is called and where it is written, not what it does."""

type Terms = dict[str, Any]


@frozen
class Term:
    """A key that differs: of lists, `removed` and `added` are the members that only one side has;
    of anything else, the values of both sides, none where a side has no such part."""

    key: str
    removed: tuple[Any, ...]
    added: tuple[Any, ...]


@frozen
class Difference:
    """A part of a policy ("network rule git") that only one side has, or that differs in `terms`.

    A part that was added or removed is told by its terms that say anything.
    """

    part: str
    change: Literal["added", "removed", "changed"]
    terms: tuple[Term, ...]


def differences(old: Policy, new: Policy) -> tuple[Difference, ...]:
    """What differs, part by part. Order never counts, nor where and in how many files it stands."""
    before, after = dict(_parts(old)), dict(_parts(new))
    found = (_difference(part, before.get(part), after.get(part)) for part in {**before, **after})
    return tuple(each for each in found if each is not None)


def _difference(part: str, before: Terms | None, after: Terms | None) -> Difference | None:
    if before is None:
        return Difference(part, "added", _terms({}, after or {}))
    if after is None:
        return Difference(part, "removed", _terms(before, {}))
    terms = _terms(before, after)
    return Difference(part, "changed", terms) if terms else None


def _terms(before: Terms, after: Terms) -> tuple[Term, ...]:
    pairs = ((key, _members(before.get(key)), _members(after.get(key))) for key in before | after)
    return tuple(
        Term(key, _only(was, becomes), _only(becomes, was))
        for key, was, becomes in pairs
        if was.keys() != becomes.keys()
    )


def _only(members: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(each for key, each in members.items() if key not in others)


def _members(value: Any) -> Mapping[str, Any]:
    """A list's members by their JSON; of anything else itself, and nothing of what is not set."""
    if value is None or value is False or value in ("", {}):
        return {}
    values = value if isinstance(value, list) else [value]
    return {json.dumps(each, sort_keys=True): each for each in values}


def _parts(policy: Policy) -> Iterator[tuple[str, Terms]]:
    """Every part that decides or that people are shown, by a name that stays the same."""
    whole = policy.resolved.model_dump(mode="json", by_alias=True)
    yield "policy", {"mode": whole["mode"]}
    yield from ((f"name {name}", {"address": each}) for name, each in whole["names"].items())
    yield from ((f"guard {name}", _plain(each)) for name, each in whole["guards"].items())
    yield "network", {"limits": _tidy(whole["limits"])}
    yield from _named("network rule", whole["rules"])
    for room in ("shell", "tools"):
        rules = whole[room].pop("rules")
        yield room, _plain(whole[room])
        yield from _named(f"{room} rule", rules)
    yield from _named("gpu workload", whole["gpu"]["workloads"])
    yield from _named("gpu rule", whole["gpu"]["rules"])
    for each in whole["lists"]:
        yield f"list {each['name']} of guards.{each['guard']}", {"domains": [*each["domains"]]}
    yield "secrets", _plain(whole["watched"])
    yield "audit redact", _plain(whole["redaction"])


def _named(kind: str, parts: list[dict[str, Any]]) -> Iterator[tuple[str, Terms]]:
    yield from ((f"{kind} {each['name']}", _plain(each)) for each in parts)


def _plain(part: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The terms of a part, those of an object inside it by dotted keys: "ssh.commands". What rules
    say of arguments stays whole: there, false and null are values like others."""
    terms: dict[str, Any] = {}
    for key, value in part.items():
        if key == "where" and isinstance(value, dict):
            terms[key] = [{path: _tidy(wanted)} for path, wanted in value.items()]
        elif key == "exactly" and value is not None:
            terms[key] = [value]
        elif isinstance(value, dict):
            terms |= _plain(value, f"{prefix}{key}.")
        elif key not in _PLACES:
            terms[prefix + key] = _tidy(value)
    return terms


def _tidy(value: Any) -> Any:
    """A value without what is not set, and without where a secret or limit of it is written."""
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if isinstance(value, dict):
        place = "source" if "written" in value else "where"  # of a limit, and of a secret
        kept = {key: each for key, each in value.items() if each is not None and key != place}
        return {key: _tidy(each) for key, each in kept.items()}
    return value
