"""Events as the judge tells them."""

from typing import Any

from firewall.audit import describe
from firewall.requests import Request
from firewall.verdict import Verdict


def event(request: Request | None, verdict: Verdict) -> dict[str, Any]:
    """What the judge's witnesses get; a fault has no request."""
    asked = {"type": type(request).__name__, **describe(request)} if request else {"type": "Fault"}
    return {"request": asked, "verdict": describe(verdict)}
