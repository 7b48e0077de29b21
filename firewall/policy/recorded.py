"""Requests, who made them, and what was decided, typed again from the records of an audit log.

A record is what `firewall.events.event_of` makes, read back as JSON. One that is damaged, shortened
or of another version says why it cannot be decided again.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from firewall.actor import Actor
from firewall.frozen import frozen
from firewall.requests import (
    Connect,
    Execute,
    HttpRequest,
    Message,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Action, Verdict, by_limit

_KINDS: dict[str, type[Request]] = {
    kind.__name__: kind
    for kind in (Connect, Resolve, HttpRequest, Message, SshChannel, Execute, ToolCall)
}
_TYPES: dict[str, type[Any]] = {**_KINDS, "Actor": Actor, "Verdict": Verdict}
_APPROVED = re.compile(r"; approved by .+ (once|for this session|by a new rule)$", re.DOTALL)
"""The end of the reason of what a person allowed (`firewall.toolcalls.approvals`)."""


class Unplayable(ValueError):  # noqa: N818, it says what a record is, and nothing failed
    """Why a record cannot be decided again, in words that are the same for all of its kind."""


@frozen
class Recorded:
    """One verdict of a log. `at` is "chain:seq", `time` RFC 3339; `seconds` is the monotonic clock
    of the boot that `boot` names."""

    at: str
    time: str
    boot: str
    seconds: float
    request: Request
    actor: Actor
    verdict: Verdict

    def decided_by(self) -> str:
        """Who decided it, where that was not the policy; "" where it was."""
        verdict = self.verdict
        if verdict.allowed and _APPROVED.search(verdict.reason):
            return "a person approved it"
        if verdict.rule.startswith("fail-closed."):
            return "a part of the firewall failed"
        if by_limit(verdict.rule):
            return "a limit was reached, which counts what came before"
        if verdict.action is Action.DENY and verdict.obligations.inject:
            return "a secret that its rule needs was not there"
        if verdict.rule == "upstream.unreachable":
            return "the server could not be reached"
        return "" if verdict.policy_digest else f"no policy was asked ({verdict.rule})"


def place(record: Mapping[str, Any]) -> str:
    """A record as `firewall audit show --seq` takes it; an unreadable one by its file's line."""
    return f"{record.get('chain', '?')}:{record.get('seq', f'line {record.get("line", "?")}')}"


def recorded(record: Mapping[str, Any]) -> Recorded:
    """The typed verdict of a record of kind "verdict". Raises Unplayable for what is not whole."""
    if "truncated" in record:
        raise Unplayable("it was too large for one record and is shortened")
    return Recorded(
        at=place(record),
        time=str(record.get("time", "")),
        boot=str(record.get("boot_id", "")),
        seconds=_seconds(record.get("monotonic_ns")),
        request=_request(record.get("request")),
        actor=_typed("Actor", record.get("actor")),
        verdict=_typed("Verdict", record.get("verdict")),
    )


def _seconds(nanoseconds: Any) -> float:
    """A clock's reading in seconds; 0.0 for what is none, such as a number beyond all floats."""
    if not isinstance(nanoseconds, int) or nanoseconds.bit_length() > 64:
        return 0.0
    return nanoseconds / 1e9


def _request(body: Any) -> Request:
    name = body.get("type") if isinstance(body, Mapping) else None
    if name == "Fault":
        raise Unplayable("the firewall failed before it knew what was asked")
    if not isinstance(name, str) or name not in _KINDS:
        raise Unplayable("this version knows no request of its kind")
    told = {key: value for key, value in body.items() if key != "type"}
    request: Request = _typed(name, told)
    return request


def _typed(name: str, body: Any) -> Any:
    """A value of the dataclass; a member that it does not know may be what decided."""
    if not isinstance(body, Mapping) or not _names(name).issuperset(body):
        raise Unplayable(f"it holds no {name} as this version writes it")
    try:
        return _adapter(name).validate_python(body)
    except (ValidationError, RecursionError):
        raise Unplayable(f"it holds no {name} as this version writes it") from None


@cache
def _names(name: str) -> frozenset[str]:
    return frozenset(each.name for each in fields(_TYPES[name]))


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[name])
