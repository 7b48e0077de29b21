"""Whether the placeholders in a request stand where a rule that allows it puts their secrets."""

from collections.abc import Iterator, Sequence

from firewall.policy.rules import Rule
from firewall.requests import Carried, HttpRequest
from firewall.verdict import Verdict


def misplaced(
    request: HttpRequest, verdict: Verdict, allows: Sequence[Rule], near: Sequence[Rule]
) -> str:
    """Why a placeholder must not stand where it does; "" where all may.

    `allows` are the rules that allow the request, `near` all allows that name its host.
    """
    carriers = allows if verdict.allowed else ()
    for each in request.carries:
        if not any(_holds(rule, each) for rule in carriers):
            where = f"{request.method} {request.path.partition('?')[0]} to {request.host}"
            reason = f"the placeholder of {each.name} is in the {each.place} of {where}"
            return f"{reason}; {_instead(each, request, near)}"
    return ""


def _holds(rule: Rule, carried: Carried) -> bool:
    return any(each.holds(carried.name, carried.place) for each in rule.document.inject)


def _instead(carried: Carried, request: HttpRequest, near: Sequence[Rule]) -> str:
    """Where its secret does belong, as far as the host's rules tell."""
    for rule in near:
        places = list(_places(rule, carried.name))
        if places and carried.place not in places:
            return f"rule {rule.name} ({rule.source}) sets it in the {' or '.join(places)} only"
        if places and rule.document.kind == "https" and request.scheme == "http":
            plain = "allow: http, where it may travel in plain text"
            return f"rule {rule.name} ({rule.source}) sets it inside TLS only; write: {plain}"
        if places:
            what = ", ".join(rule.described()) or "other requests"
            return f"rule {rule.name} ({rule.source}) sets it for {what} only"
    return "no rule sets it for this host"


def _places(rule: Rule, name: str) -> Iterator[str]:
    for each in rule.document.inject:
        if any(secret.name == name for secret in each.secrets):
            yield from each.places
