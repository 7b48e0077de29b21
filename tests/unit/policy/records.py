"""Records of an audit log, as reading one gives them."""

import json
from typing import Any

from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.events import Fault, event_of
from firewall.policy import Policy
from firewall.requests import HttpRequest, Request
from firewall.verdict import Verdict

AGENT = Actor("s1", Process(7, 1.5, "/usr/bin/curl", ("curl",), 1000))


def get(host: str, path: str = "/", method: str = "GET") -> HttpRequest:
    """A request by HTTPS."""
    return HttpRequest(method, "https", host, 443, path, host)


def record(
    seq: int,
    request: Request | Fault,
    by: Policy | Verdict,
    actor: Actor = AGENT,
    **more: Any,
) -> dict[str, Any]:
    """The record of a request as the policy decides it, or of another verdict."""
    if isinstance(by, Policy):
        assert not isinstance(request, Fault)
        by = by.decide(request, actor)
    event = json.loads(json.dumps(event_of(request, by, actor, {}), default=describe))
    stamp = {"seq": seq, "chain": "gate-0", "boot_id": "b", "monotonic_ns": seq * 10**9}
    return {**stamp, "time": f"2026-01-01T00:00:{seq:02}.000000Z", **event, **more}
