"""What is recorded of a verdict: the request, who asked, and what was decided."""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.frozen import frozen
from firewall.gpu.snapshot import busy
from firewall.redaction import Redactor
from firewall.requests import Request, recurs
from firewall.verdict import Verdict

_PROCESSES = ("process", "ancestors")
_BARE = tuple(each.name for each in fields(Actor) if each.name not in _PROCESSES)


@frozen
class Fault:
    """An enforcement point failed before it could say what was asked."""

    point: str
    error: str


class Facts(dict[str, Any]):
    """What is known of a flow that asks for much, cleaned of secrets once. Not to be changed."""

    _clean: tuple[Redactor, Any] | None = None

    def cleaned(self, redactor: Redactor) -> Any:
        """The facts without their secrets."""
        if self._clean is None or self._clean[0] is not redactor:
            self._clean = redactor, redactor.value(dict(self))
        return self._clean[1]


def event_of(
    request: Request | Fault, verdict: Verdict, actor: Actor, flow: Mapping[str, Any]
) -> dict[str, Any]:
    """The event of one verdict. `flow` is what is known of the flow besides the request."""
    return _event(_asked(request), describe(verdict), describe(actor), dict(flow))


def redacted_event_of(
    request: Request | Fault,
    verdict: Verdict,
    actor: Actor,
    flow: Mapping[str, Any],
    redactor: Redactor,
) -> dict[str, Any]:
    """As `event_of`, without its secrets. Not to be changed: events share what is the same."""
    asked = _remembered if recurs(request) else _redacted
    known = flow.cleaned(redactor) if isinstance(flow, Facts) else redactor.value(flow)
    decided, who = _described(verdict, redactor), _who(actor, redactor)
    return _event(asked(request, redactor), decided, who, known)


def _event(asked: Any, decided: Any, who: Any, flow: Any) -> dict[str, Any]:
    return {"kind": "verdict", "request": asked, "verdict": decided, "actor": who, "flow": flow}


def _asked(request: Request | Fault) -> dict[str, Any]:
    return {"type": type(request).__name__, **describe(request)}


def _redacted(request: Request | Fault, redactor: Redactor) -> Mapping[str, Any]:
    asked: Mapping[str, Any] = redactor.value(_asked(request))
    return asked


_remembered = lru_cache(maxsize=256)(_redacted)


@lru_cache(maxsize=64)
def _described(verdict: Verdict, redactor: Redactor) -> Mapping[str, Any]:
    described: Mapping[str, Any] = redactor.value(describe(verdict))
    return described


@lru_cache(maxsize=64)
def _who(actor: Actor, redactor: Redactor) -> Mapping[str, Any]:
    """Remembered, because a program opens many flows."""
    bare: dict[str, Any] = redactor.value({name: getattr(actor, name) for name in _BARE})
    bare["process"] = actor.process and _process(actor.process, redactor)
    bare["ancestors"] = [_process(each, redactor) for each in actor.ancestors]
    return bare


@lru_cache(maxsize=256)
def _process(process: Process, redactor: Redactor) -> Mapping[str, Any]:
    """Remembered, because the programs that one starts share long-winded ancestors."""
    described: Mapping[str, Any] = redactor.value(describe(process))
    return described


def suspected(event: Mapping[str, Any]) -> bool:
    """Whether a recogniser was suspicious of what was asked."""
    findings = event["request"].get("findings")
    return bool(findings) and any(each["confidence"] == "suspicious" for each in findings)


def raised(event: Mapping[str, Any], gpu: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event, critical where the same sandbox keeps a GPU busy while it is suspicious."""
    work = busy(gpu) if suspected(event) else ""
    if not work:
        return event
    verdict = dict(event["verdict"])
    reason = f"{verdict['reason']}; meanwhile {work}"
    return {**event, "verdict": {**verdict, "severity": "critical", "reason": reason}}
