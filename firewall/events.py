"""What is recorded of a verdict: the request, who asked, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firewall.actor import Actor
from firewall.audit import describe
from firewall.gpu.snapshot import busy
from firewall.requests import Request
from firewall.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Fault:
    """An enforcement point failed before it could say what was asked."""

    point: str
    error: str


def event_of(
    request: Request | Fault, verdict: Verdict, actor: Actor, flow: Mapping[str, Any]
) -> dict[str, Any]:
    """The event of one verdict. `flow` is what is known of the flow besides the request."""
    return {
        "kind": "verdict",
        "request": {"type": type(request).__name__, **describe(request)},
        "verdict": describe(verdict),
        "actor": describe(actor),
        "flow": dict(flow),
    }


def suspected(event: Mapping[str, Any]) -> bool:
    """Whether a recogniser was suspicious of what was asked."""
    findings = event["request"].get("findings", ())
    return any(each["confidence"] == "suspicious" for each in findings)


def raised(event: Mapping[str, Any], gpu: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event, critical where the same sandbox keeps a GPU busy while it is suspicious."""
    work = busy(gpu) if suspected(event) else ""
    if not work:
        return event
    verdict = dict(event["verdict"])
    reason = f"{verdict['reason']}; meanwhile {work}"
    return {**event, "verdict": {**verdict, "severity": "critical", "reason": reason}}
