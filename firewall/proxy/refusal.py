"""What a client is told when it is refused: one line for tools, a page for HTTP.

The texts repeat what the client sent, so everything is stripped of control characters, shortened,
and escaped where it becomes HTML.
"""

import json
import os
import re
from collections.abc import Sequence

from firewall.requests import Connect, HttpRequest, Request
from firewall.verdict import Verdict

TEXT_LIMIT = 600
"""Characters of any one value that are shown."""

BLOCKED = "Blocked by the firewall"
FAILED = "The firewall could not reach the server"
UNREACHABLE = "upstream.unreachable"
"""Stands for a rule where an allowed destination leads nowhere: trouble, and no block."""

_CONNECT_FAILED = re.compile(r"\[Errno (\d+)\] Connect call failed \('([^']+)', (\d+).*\)")

type Lines = Sequence[tuple[str, str]]


def sentence(verdict: Verdict) -> str:
    """The refusal in one line, for SSH clients, tools, gRPC and WebSocket."""
    if verdict.rule == UNREACHABLE:
        return f"{FAILED}: {plain(verdict.reason)}"
    line = f"{BLOCKED}: {plain(verdict.reason)} (rule: {plain(verdict.rule)}{_owner(verdict)})"
    return f"{line}. To allow it: {plain(verdict.remedy)}" if verdict.remedy else line


def _owner(verdict: Verdict) -> str:
    return f", owner: {plain(verdict.owner)}" if verdict.owner else ""


def page(verdict: Verdict, request: Request | None, accept: str) -> tuple[str, bytes]:
    """The refusal as a page: its content type and its body.

    `accept` is the request's Accept header: HTML for who asks for it, JSON for who takes nothing
    else, plain text for everybody else.
    """
    lines = [("rule", verdict.rule), ("why", verdict.reason)]
    if verdict.owner:
        lines.append(("owner", verdict.owner))
    if verdict.remedy:
        lines.append(("to allow it", verdict.remedy))
    if not verdict.source:
        return _render(BLOCKED, request, lines, accept)
    return _render(BLOCKED, request, [*lines, ("policy", verdict.source)], accept)


def failure(why: str, request: Request | None, accept: str) -> tuple[str, bytes]:
    """The page for a request that was allowed and went wrong on the way to the server."""
    return _render(FAILED, request, [("why", in_words(why))], accept)


def in_words(error: str) -> str:
    """asyncio's words for a failed connection as the system's own."""
    failed = _CONNECT_FAILED.fullmatch(error)
    if failed is None:
        return error
    return f"{os.strerror(int(failed[1])).lower()} by {failed[2]} port {failed[3]}"


def plain(text: str) -> str:
    """Text safe to show: one line, printable, not too long."""
    shown = text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "..."
    return "".join(each if each.isprintable() else "?" for each in shown)


def asked(request: Request) -> str:
    """What was asked, as a person would write it."""
    match request:
        case HttpRequest():
            return f"{request.method} {request.scheme}://{_place(request)}{request.path}"
        case Connect():
            return f"{request.protocol} to {_bracketed(request.host)}:{request.port}"
        case _:
            return type(request).__name__


def _place(request: HttpRequest) -> str:
    usual = {"http": 80, "https": 443}[request.scheme]
    host = _bracketed(request.host)
    return host if request.port == usual else f"{host}:{request.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _render(title: str, request: Request | None, lines: Lines, accept: str) -> tuple[str, bytes]:
    subject = plain(asked(request)) if request is not None else ""
    cleaned = [(label, plain(value)) for label, value in lines]
    accepted = {each.split(";")[0].strip().lower() for each in accept.split(",")} - {""}
    if "text/html" in accepted:
        return "text/html; charset=utf-8", _html(title, subject, cleaned).encode()
    if accepted and all(each.endswith("json") for each in accepted):
        return "application/json", _json(title, subject, cleaned).encode()
    return "text/plain; charset=utf-8", _text(title, subject, cleaned).encode()


def _text(title: str, subject: str, lines: Lines) -> str:
    shown = "".join(f"  {label}: {value}\n" for label, value in lines)
    return f"{title}\n\n" + (f"  {subject}\n" if subject else "") + shown


def _html(title: str, subject: str, lines: Lines) -> str:
    import html  # its table of entities takes as long to load as all that speaks of refusals

    shown = "".join(
        f"<dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd>" for label, value in lines
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>"
        f"<p><code>{html.escape(subject)}</code></p><dl>{shown}</dl>\n"
    )


def _json(title: str, subject: str, lines: Lines) -> str:
    """The shape that API clients look for: what went wrong is in error.message."""
    fields = dict(lines)
    message = f"{title}: {fields['why']}"
    return json.dumps({"error": {"message": message, "request": subject, **fields}}) + "\n"
