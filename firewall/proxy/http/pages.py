"""Our own answers over HTTP/1: what is said, and with which status and header fields.

403 for a refusal, 429 where a limit is reached (RFC 6585, 4), 400 for what cannot be read, 502 for
a server that cannot be reached.
"""

from firewall.frozen import frozen
from firewall.policy.remedies import SPEAK_PLAINLY
from firewall.proxy.refusal import UNREACHABLE, failure, page, plain
from firewall.requests import Request
from firewall.verdict import Action, Severity, Verdict

RULE_HEADER = "X-Firewall-Rule"
RULE = "guards.protocol-mismatch"


@frozen
class Page:
    """A whole answer; `fields` are its header fields but for its length."""

    status: int
    fields: dict[str, str]
    body: bytes


def refusal_page(verdict: Verdict, asked: Request | None, accept: str) -> Page:
    """The 403 or 429 for a denied request, in a form that its client can show."""
    if verdict.rule == UNREACHABLE:
        return unreachable_page(verdict.reason, asked, accept)
    rule = plain(verdict.rule).encode("ascii", "replace").decode()
    fields = {RULE_HEADER: rule, **({"Retry-After": str(verdict.wait)} if verdict.wait else {})}
    return _page(429 if verdict.wait else 403, page(verdict, asked, accept), fields)


def unreachable_page(why: str, asked: Request | None, accept: str) -> Page:
    """The 502 for an allowed request whose server is down, untrusted or speaks nonsense."""
    return _page(502, failure(why, asked, accept))


def malformed_page(why: str) -> Page:
    """The 400 for a message that cannot be read as one thing (RFC 9112, 3 and 6.3)."""
    verdict = Verdict(Action.DENY, RULE, why, Severity.WARNING, SPEAK_PLAINLY)
    return _page(400, page(verdict, None, ""), {RULE_HEADER: RULE})


def _page(status: int, shown: tuple[str, bytes], more: dict[str, str] | None = None) -> Page:
    kind, body = shown
    return Page(status, {"Content-Type": kind, "Cache-Control": "no-store", **(more or {})}, body)
