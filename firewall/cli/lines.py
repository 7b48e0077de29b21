"""One record as one line: `12:03:44 DENY  guards.mining  tcp pool.test:3333  python3[4711]  why`.

Everything an agent wrote is escaped, so that it cannot move the cursor, colour the terminal, or
begin a line of its own. Works on records as dictionaries, read back or just made, and expects
nothing of them: a log may be damaged.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from firewall.frozen import frozen

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 160
"""Characters of one field."""

_COLOURS = {
    "ALLOW": "green",
    "ASK": "bold yellow",
    "DENY": "bold red",
    "WOULD ASK": "yellow",
    "WOULD DENY": "yellow",
}


@frozen
class Line:
    """The fields of a record's line, escaped. `verdict` is "ALLOW", "ASK", "DENY", "WOULD ASK",
    "WOULD DENY" or ""."""

    time: str
    verdict: str
    rule: str
    what: str
    who: str
    why: str

    def __str__(self) -> str:
        fields = (f"{self.time} {self.verdict:<5}", self.rule, self.what, self.who, self.why)
        return "  ".join(field for field in fields if field)


def line(record: Mapping[str, Any]) -> Line:
    """The line of a record, of a verdict or of the log itself."""
    if "verdict" not in record:
        return _line_of_the_log(record)
    verdict, actor = part(record, "verdict"), part(record, "actor")
    return Line(
        time=clock(record),
        verdict=decision(verdict),
        rule=printable(verdict.get("rule", "?")),
        what=asked(part(record, "request")),
        who=process(part(actor, "process")) or printable(actor.get("sandbox", "")),
        why=printable(verdict.get("reason", "")),
    )


def styled(record: Mapping[str, Any]) -> "Text":
    """The line of a record for a terminal, coloured by its verdict."""
    from rich.text import Text

    fields = line(record)
    text = Text(str(fields), no_wrap=True, overflow="ellipsis")
    if fields.verdict:
        start = len(fields.time) + 1
        text.stylize(_COLOURS[fields.verdict], start, start + len(fields.verdict))
    else:
        text.stylize("dim")
    return text


def printable(value: Any, limit: int = WIDTH) -> str:
    """A value as text without control, format or line-breaking characters, not too long."""
    text = value if isinstance(value, str) else str(value)
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    if short.isprintable():
        return short
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in short
    )


def part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object, or an empty one where it is not."""
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def clock(record: Mapping[str, Any]) -> str:
    """The local time of day of a record."""
    try:
        return f"{datetime.fromisoformat(str(record.get('time', ''))).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError):
        return "--:--:--"


def decision(verdict: Mapping[str, Any]) -> str:
    """What was done, in capitals."""
    if verdict.get("action") == "allow":
        return "ALLOW"
    done = "ASK" if verdict.get("action") == "ask" else "DENY"
    return done if verdict.get("enforced", True) else f"WOULD {done}"


def asked(request: Mapping[str, Any]) -> str:
    """What was asked for, in few words."""
    describe = _ASKED.get(str(request.get("type")), _asked_anything)
    return printable(describe(_Words(request)))


def process(found: Mapping[str, Any]) -> str:
    """A process as `name[pid]`, or "" where there is none."""
    if not found:
        return ""
    name = PurePath(str(found.get("exe", "?"))).name
    return f"{printable(name)}[{printable(found.get('pid', '?'))}]"


class _Words(dict[str, Any]):
    """A request whose missing members read as "?"."""

    def __missing__(self, name: str) -> str:
        return "?"


def _endpoint(request: Mapping[str, Any]) -> str:
    host = str(request["host"])
    return f"[{host}]:{request['port']}" if ":" in host else f"{host}:{request['port']}"


def _asked_http(request: Mapping[str, Any]) -> str:
    usual = {"http": 80, "https": 443}.get(str(request["scheme"]))
    place = request["host"] if request["port"] == usual else _endpoint(request)
    return f"{request['method']} {request['scheme']}://{place}{request['path']}"


def _asked_ssh(request: Mapping[str, Any]) -> str:
    detail = f" {request['detail']}" if request["detail"] not in ("", "?") else ""
    return f"ssh {request['user']}@{_endpoint(request)} {request['kind']}{detail}"


def _asked_program(request: Mapping[str, Any]) -> str:
    argv = request["argv"] if isinstance(request["argv"], list) else []
    return " ".join(["exec", str(request["path"]), *(str(each) for each in argv[1:])])


def _asked_anything(request: Mapping[str, Any]) -> str:
    members = ", ".join(f"{name} {value}" for name, value in request.items() if name != "type")
    return f"{request['type']}: {members}"


_ASKED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Connect": lambda request: f"{request['transport']} {_endpoint(request)}",
    "Resolve": lambda request: f"dns {request['kind']} {request['name']}",
    "HttpRequest": _asked_http,
    "Message": lambda request: f"{request['carrier']} {request['direction']}, {_endpoint(request)}",
    "SshChannel": _asked_ssh,
    "Execute": _asked_program,
    "ToolCall": lambda request: f"tool {request['tool']} {request['arguments']}",
}


def _line_of_the_log(record: Mapping[str, Any]) -> Line:
    """The line of a record that is no verdict: in words where there are some."""
    kind = record.get("kind", "?")
    words = _TOLD.get(kind) if isinstance(kind, str) else None
    if words is None:
        return Line(clock(record), "", "", printable(kind), "", _rest(record))
    who = printable(record.get("sandbox", "?"))
    what, why = words(_Words(record))
    return Line(clock(record), "", printable(kind), printable(what), who, printable(why))


def _quarantine(record: _Words) -> tuple[str, str]:
    why = f"because of {record['rule']}: {record['reason']}"
    if record.get("trouble"):
        return "its processes could not all be stopped", str(record["trouble"])
    if record["state"] == "frozen":
        return f"{record['processes']} processes stopped by {record['by']}", why
    return f"all egress closed by {record['by']}, {record['flows']} flows cut", why


def _release(record: _Words) -> tuple[str, str]:
    what = f"egress opened again by {record['by']}"
    return what, f"it was {record['was']} since {record['since']} because of {record['rule']}"


def _approval(record: _Words) -> tuple[str, str]:
    what = f"{record['action']} by {record['by']} ({record['how']})"
    return what, f"{asked(part(record, 'request'))} (rule {record['rule']})"


def _gpu_alert(record: _Words) -> tuple[str, str]:
    return f"{record['rule']} {record['state']} ({record['severity']})", str(record["reason"])


def _gpu_response(record: _Words) -> tuple[str, str]:
    what = f"{record['respond']} {record['stage']} for {record['rule']}"
    return what, str(record.get("trouble") or f"processes {record['processes']}")


def _gpu_after(record: _Words) -> tuple[str, str]:
    moments, gpu = record["moments"], part(record, "gpu")
    count = len(moments) if isinstance(moments, list) else "?"
    return f"what the GPUs did after {count} moments", str(gpu.get("reason") or record["ended"])


_TOLD: Mapping[str, Callable[[_Words], tuple[str, str]]] = {
    "gpu-after": _gpu_after,
    "gpu-alert": _gpu_alert,
    "gpu-response": _gpu_response,
    "gpu-release": lambda record: (
        f"released by {record['by']}",
        f"processes {record['processes']}",
    ),
    "quarantine": _quarantine,
    "release": _release,
    "approval": _approval,
}


def _rest(record: Mapping[str, Any]) -> str:
    """What a record of the log itself says."""
    common = {"seq", "time", "monotonic_ns", "boot_id", "kind", "prev", "hash"}
    return printable(", ".join(f"{k} {v}" for k, v in record.items() if k not in common))
