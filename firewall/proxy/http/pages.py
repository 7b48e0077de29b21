"""Our own answers over HTTP/1: what is said, and with which status and header fields.

403 for a refusal, 429 where a limit is reached (RFC 6585, 4), 400 for what cannot be read, 502 for
a server that cannot be reached.
"""

from firewall.frozen import frozen
from firewall.policy.remedies import SPEAK_PLAINLY
from firewall.proxy.refusal import FAILED, UNREACHABLE, failure, in_words, page, plain, sentence
from firewall.requests import Request
from firewall.verdict import Action, Severity, Verdict

RULE_HEADER = "X-Firewall-Rule"
RULE = "guards.protocol-mismatch"


@frozen
class Page:
    """A whole answer; `fields` are its header fields but for its length.

    `reason` follows the status (RFC 9112, 4): apt, npm, wget and others show it and no body.
    """

    status: int
    reason: str
    fields: dict[str, str]
    body: bytes


def refusal_page(verdict: Verdict, asked: Request | None, accept: str) -> Page:
    """The 403 or 429 for a denied request, in a form that its client can show."""
    if verdict.rule == UNREACHABLE:
        return unreachable_page(verdict.reason, asked, accept)
    later = {"Retry-After": str(verdict.wait)} if verdict.wait else {}
    fields = {RULE_HEADER: _ascii(verdict.rule), **later}
    status = 429 if verdict.wait else 403
    return _page(status, sentence(verdict), page(verdict, asked, accept), fields)


def unreachable_page(why: str, asked: Request | None, accept: str) -> Page:
    """The 502 for an allowed request whose server is down, untrusted or speaks nonsense."""
    return _page(502, f"{FAILED}: {in_words(why)}", failure(why, asked, accept))


def malformed_page(why: str) -> Page:
    """The 400 for a message that cannot be read as one thing (RFC 9112, 3 and 6.3)."""
    verdict = Verdict(Action.DENY, RULE, why, Severity.WARNING, SPEAK_PLAINLY)
    return _page(400, sentence(verdict), page(verdict, None, ""), {RULE_HEADER: RULE})


def _page(
    status: int, reason: str, shown: tuple[str, bytes], more: dict[str, str] | None = None
) -> Page:
    kind, body = shown
    fields = {"Content-Type": kind, "Cache-Control": "no-store", **(more or {})}
    return Page(status, _ascii(reason), fields, body)


def _ascii(text: str) -> str:
    """Text as it may stand in a head."""
    return plain(text).encode("ascii", "replace").decode()
