"""What one request teaches: the places that its rules are for, and what they allow there.

A rule is for one place: a host and port (and a user, for SSH), a program with its arguments, or a
tool with its arguments. What it allows there are its items, such as methods with their paths.
"""

import json
from typing import Literal, NamedTuple

from firewall.policy.apikeys import api_keys
from firewall.policy.errors import Fault
from firewall.policy.globs import is_plain, literal
from firewall.policy.hosts import is_name, normalise
from firewall.policy.paths import PathGlob, clean
from firewall.policy.programs import SYSTEM, Run, run_of, runs_of
from firewall.policy.toolrules import Called
from firewall.requests import Connect, Execute, HttpRequest, Request, SshChannel, SshKind, ToolCall
from firewall.words import simple_words

type Kind = Literal["https", "http", "unread", "tcp", "ssh", "program", "tool"]
type Section = Literal["network", "shell", "tools"]
type Item = tuple[str, ...]
"""One thing that is allowed at a place. HTTP: a method, a path, and the keys of an API as JSON.
SSH: a key and its value. Programs: their intents. Connections: what they speak. () is nothing
but the place."""

GRAVE = frozenset(
    {"mining", "tunnel", "reverse-shell", "remote-code", "scan", "ssh.forward-remote"}
    | {"ssh.forward-dynamic", "ssh.tunnel-device"}
)
"""What a command may be about to do that is never learned."""

_INSIDE: dict[SshKind, str] = {
    "login": "login",
    "exec": "commands",
    "shell": "shell",
    "pty": "pty",
    "subsystem": "subsystems",
    "env": "env",
    "local-forward": "local",
    "read-file": "read",
    "write-file": "write",
}


class Place(NamedTuple):
    """What a rule is for. `name` is the host, program or tool; `detail` the user of SSH, or all
    arguments as JSON ("" in a wider rule, whose items say what is known of them)."""

    kind: Kind
    name: str
    port: int = 0
    detail: str = ""

    @property
    def section(self) -> Section:
        """Where in a policy the rule stands."""
        return "shell" if self.kind == "program" else "tools" if self.kind == "tool" else "network"


class Unnameable(ValueError):  # noqa: N818, it says what a request is, and nothing failed
    """Why no rule allows a request alone, in words that are the same for all of its kind."""


def lessons(request: Request) -> list[tuple[Place, Item]]:
    """All that has to be allowed for a request that is no connection. Raises Unnameable."""
    match request:
        case HttpRequest():
            return [_http(request)]
        case SshChannel():
            return [_channel(request)]
        case Execute():
            return _programs(runs_of(request))
        case ToolCall():
            return [_tool(request), *_programs([run_of(each) for each in request.commands])]
    raise Unnameable("no rule can allow it")


def connection(request: Connect) -> Place:
    """The place of a connection, without a user for SSH. Raises Unnameable."""
    host = _name(request.host)
    if request.transport == "udp":
        raise Unnameable("it is UDP, which no rule can allow")
    match request.protocol:
        case "tls":
            return Place("https", host, request.port)
        case "http" | "http2":
            return Place("http", host, request.port)
        case "ssh":
            return Place("ssh", host, request.port)
        case "unknown" | "silent" | "json-rpc" | "dns":
            return Place("tcp", host, request.port)
    raise Unnameable(f"it speaks {request.protocol}, which no rule can allow")


def _name(text: str) -> str:
    host = normalise(text)
    if not is_name(host):
        raise Unnameable("it is for an address, not a name; write a rule for it by hand")
    return host


def _http(request: HttpRequest) -> tuple[Place, Item]:
    place = Place(request.scheme, _name(request.host), request.port)
    path = request.path.partition("?")[0]
    if not _is_plain(request.method, path):
        raise Unnameable("no rule can name its method or path exactly")
    keys = api_keys(request.calls)
    if keys is None:
        raise Unnameable("a rule near it judges bodies, and none can name its body exactly")
    return place, (request.method, path, json.dumps(keys) if keys else "")


def _is_plain(method: str, path: str) -> bool:
    letters = method.replace("-", "")
    plain = letters.isascii() and letters.isalpha() and letters.isupper()
    known = plain and method[0] != "-" and method != "CONNECT"
    return known and path.isascii() and path.isprintable() and _names_itself(path)


def _names_itself(path: str) -> bool:
    """Whether a path, written as a glob, is that path and no other."""
    try:
        segments, glob = clean(path), PathGlob(path)
    except Fault:
        return False
    return "*" not in path and segments is not None and glob.matches(segments)


def _channel(request: SshChannel) -> tuple[Place, Item]:
    place = Place("ssh", _name(request.host), request.port, request.user)
    key, detail = _INSIDE.get(request.kind), request.detail
    if key is None:
        raise Unnameable(f"it is a {request.kind} inside SSH, which no rule can allow")
    if (key == "subsystems" and detail == "sftp") or (key == "commands" and _is_scp(detail)):
        return place, ("files", "")
    if not _is_literal(key, detail):
        raise Unnameable("no rule can name it exactly: its words would be a glob")
    return place, (key, "" if key in ("login", "shell", "pty") else detail)


def _is_literal(key: str, detail: str) -> bool:
    """Whether a value of a key, which takes globs, is one that is nothing but itself."""
    if key in ("read", "write"):
        return _names_itself(f"/{detail}" if detail.startswith("~") else detail)
    return key not in ("commands", "env") or is_plain(detail)


def _is_scp(command: str) -> bool:
    words = simple_words(command) or ("",)
    return words[0] == "scp" and not {"-t", "-f"}.isdisjoint(words)


def _programs(runs: list[Run]) -> list[tuple[Place, Item]]:
    """The programs, each with its intents; `launch` is that of what runs another one of them."""
    launchers = {words.split()[0] for run in runs for words in run.command.via if words}
    told = []
    for run in runs:
        place, intents = _program(run)
        told.append((place, (*intents, "launch") if launchers & {*run.names} else intents))
    return told


def _program(run: Run) -> tuple[Place, Item]:
    if not run.known or not run.names:
        raise Unnameable("only running can tell which program it runs, and with which arguments")
    intents = tuple(sorted({each.name for each in run.intents}))
    if grave := GRAVE.intersection(intents):
        raise Unnameable(f"something was found in it: its command means {min(grave)}")
    own = run.own[-1] if run.own else run.names[0]  # A script, not the interpreter that reads it.
    program = own.rpartition("/")[2] if own.startswith(SYSTEM) else own
    return Place("program", literal(program), detail=json.dumps([*run.arguments])), intents


def _tool(call: ToolCall) -> tuple[Place, Item]:
    called = Called(call)
    if not isinstance(called.value, dict):
        raise Unnameable("its arguments are no plain JSON object")
    return Place("tool", literal(called.name), detail=json.dumps(called.value, sort_keys=True)), ()
