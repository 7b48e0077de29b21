"""One record told to a person: what was asked, by whom, why it was decided, what the GPUs did."""

from collections.abc import Iterator, Mapping
from typing import Any

from firewall.cli.gpu_story import gpu_story, objects
from firewall.cli.lines import asked, decision, part, printable, process

LONG = 2_000
"""Characters of one line; a command or a path may be long and still be what matters."""


def story(record: Mapping[str, Any], after: Mapping[str, Any] | None = None) -> Iterator[str]:
    """The lines of a verdict's story; nothing in them can harm a terminal.

    `after` is the record that follows it up with what the GPUs did in the minute after.
    """
    verdict = part(record, "verdict")
    where = f"{printable(record.get('chain', '?'))}:{printable(record.get('seq', '?'))}"
    yield f"{decision(verdict)}  {printable(verdict.get('rule', '?'))}"
    yield f"record {where}, {printable(record.get('time', '?'))}"
    for title, lines in chapters(record, after).items():
        yield ""
        yield title
        yield from (f"  {printable(line, LONG)}" for line in lines)


def alert_story(record: Mapping[str, Any]) -> Iterator[str]:
    """What follows the line of an alert about GPU use: whose work it is, and by what it was found.
    Nothing in it can harm a terminal."""
    device, evidence = part(record, "device"), part(record, "evidence")
    facts = {name: value for name, value in evidence.items() if name != "denied"}
    lines = [
        *(_told(each, 0) for each in objects(record.get("processes"))),
        f"on GPU {device.get('index')} {device.get('name')} since {record.get('since')}",
        *(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()),
        *(_denied(each) for each in objects(evidence.get("denied"))),
        f"rule {record.get('rule')} at {record.get('source')}, responds by {record.get('respond')}"
        + (" (dry run)" if record.get("dry_run") else ""),
    ]
    yield from (f"  {printable(each, LONG)}" for each in lines)


def _denied(denial: Mapping[str, Any]) -> str:
    what, who = denial.get("what"), denial.get("relation")
    ago = f"{denial.get('seconds_ago')} s before"
    return f"denied {ago} ({who}): {what}, {denial.get('rule')}: {denial.get('reason')}"


def chapters(
    record: Mapping[str, Any], after: Mapping[str, Any] | None = None
) -> Mapping[str, Iterator[str]]:
    """What a verdict's story tells, by title; the lines are not escaped."""
    verdict = part(record, "verdict")
    return {
        "What": _what(record),
        "Who": _who(part(record, "actor")),
        "Why": _why(verdict),
        "GPU": gpu_story(record, after),
        "To allow it": _remedy(verdict),
    }


def _what(record: Mapping[str, Any]) -> Iterator[str]:
    request = part(record, "request")
    yield asked(request)
    if request.get("protocol"):
        yield f"speaking {request['protocol']}" + _given(request, "sni", ", TLS name")
    for finding in objects(request.get("findings")):
        yield (
            f"found {finding.get('kind')} ({finding.get('name')}): {finding.get('evidence')}"
            f", in {finding.get('where')}"
        )
    for name, value in part(record, "flow").items():
        yield f"{name}: {_parts(value) if isinstance(value, Mapping) else value}"


def _parts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _who(actor: Mapping[str, Any]) -> Iterator[str]:
    yield f"sandbox {actor.get('sandbox', '?')}" + _given(actor, "container", ", container")
    first = part(actor, "process")
    if first:
        yield _told(first, 0)
    else:
        whose = "" if actor.get("uid") is None else f" of user {actor['uid']}"
        yield f"process{whose} unknown: {actor.get('unknown') or 'no reason given'}"
    for depth, each in enumerate(objects(actor.get("ancestors")), 1):
        yield _told(each, depth)
    if actor.get("tool_call"):
        yield f"tool call {actor['tool_call']}"


def _told(each: Mapping[str, Any], depth: int) -> str:
    argv = each.get("argv")
    command = " ".join(str(word) for word in argv) if isinstance(argv, list) else ""
    return f"{'  ' * depth}{'started by ' if depth else ''}{process(each)}  {command}"


def _why(verdict: Mapping[str, Any]) -> Iterator[str]:
    yield str(verdict.get("reason", "?"))
    yield (
        f"rule {verdict.get('rule', '?')}"
        + _given(verdict, "source", " at")
        + _given(verdict, "owner", ", owner")
    )
    yield f"severity {verdict.get('severity', '?')}" + _given(verdict, "policy_digest", ", policy")


def _remedy(verdict: Mapping[str, Any]) -> Iterator[str]:
    if verdict.get("action") == "allow":
        yield "it was allowed"
    else:
        yield str(verdict.get("remedy") or "the rule names no way")


def _given(values: Mapping[str, Any], name: str, before: str) -> str:
    return f"{before} {values[name]}" if values.get(name) else ""
