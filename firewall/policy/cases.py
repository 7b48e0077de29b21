"""Tests of a policy as data: `X.test.yaml` beside `X.yaml`, one line a case.

cases:
  - {https: "POST https://github.com/o/r/git-receive-pack", expect: deny, rule: default}
  - {dns: "example.com TXT", expect: deny, rule: names, reason: "answered empty"}
  - {ssh: "git@example.com git-receive-pack o/r", expect: deny, rule: default}
  - {ssh: "git@example.com", channel: "local-forward db.internal:5432", expect: deny}
  - {shell: "git push origin main", directory: /work, expect: ask, rule: push}
  - {exec: [/usr/bin/nc, -l], expect: deny, rule: no-remote-shells}
  - {tool: {name: Read, arguments: {file_path: /src/x}}, expect: allow}
  - {gpu: {program: /usr/bin/python3, arguments: train.py}, expect: allow, rule: trainer}
  - {exec: [/src/x], after: [{shell: "curl -o /src/x https://example.com/x"}], expect: deny}
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from firewall.actor import Actor, Process
from firewall.deeds import NOTHING, Past, deeds
from firewall.history import History
from firewall.policy.actcases import Reader, ToolCase, shell_call
from firewall.policy.acts import Choice
from firewall.policy.addresses import parse_address
from firewall.policy.document import validate
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.gpucases import GpuCase, gpu_verdict
from firewall.policy.holding import DateText, LabelText
from firewall.policy.hosts import is_name, normalise
from firewall.policy.policy import Policy
from firewall.policy.strict import Strict
from firewall.policy.suggest import closest
from firewall.policy.text import read
from firewall.requests import (
    Connect,
    Finding,
    FindingKind,
    HttpRequest,
    Request,
    Resolve,
    SshChannel,
    SshKind,
)
from firewall.verdict import Verdict

_FINDINGS: tuple[FindingKind, ...] = get_args(FindingKind.__value__)
_KINDS: tuple[SshKind, ...] = get_args(SshKind.__value__)


def http_steps(text: str) -> list[Request]:
    """The connection and the request of "METHOD URL". Raises Fault."""
    method, _, url = text.partition(" ")
    try:
        parts = urlsplit(url)
        host, port = normalise(parts.hostname or ""), parts.port
    except ValueError:
        raise Fault(f"{url!r} is not a URL", "POST https://example.com/path") from None
    if parts.scheme not in ("https", "http") or not _is_host(host) or not method.isupper():
        raise Fault(f"{text!r} is not a request", '"POST https://example.com/path"')
    scheme: Literal["https", "http"] = "https" if parts.scheme == "https" else "http"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    number = port or (443 if scheme == "https" else 80)
    sni = host if scheme == "https" and is_name(host) else None
    protocol: Literal["tls", "http"] = "tls" if scheme == "https" else "http"
    return [
        Connect(host, number, protocol=protocol, sni=sni),
        HttpRequest(method, scheme, host, number, path, authority=host, sni=sni),
    ]


def ssh_steps(text: str) -> list[Request]:
    """The connection, the login and the command of "user@host[:port] [command]". Raises Fault."""
    place, _, command = text.partition(" ")
    user, _, address = place.rpartition("@")
    host, port = _host_port(address, "22", '"git@example.com git-upload-pack o/r"')
    steps: list[Request] = [Connect(host, port, protocol="ssh")]
    if user:
        steps.append(SshChannel(host, port, user, "login", user))
    if command.strip():
        steps.append(SshChannel(host, port, user, "exec", command.strip()))
    return steps


def ssh_channel(text: str) -> tuple[SshKind, str]:
    """The kind and the detail of "local-forward db:5432", "env LANG", "shell"... Raises Fault."""
    kind, _, detail = text.partition(" ")
    found = next((each for each in _KINDS if each == kind), None)
    if found is None:
        raise Fault(f"{kind!r} is not asked for inside SSH", closest(kind, _KINDS))
    return found, detail.strip()


def tcp_steps(text: str) -> list[Request]:
    """The connection of "host:port", whose client speaks first and nothing known. Raises Fault."""
    host, port = _host_port(text, "", '"db.example.com:5432"')
    return [Connect(host, port, protocol="unknown")]


def dns_steps(text: str) -> list[Request]:
    """The question of "name" or "name TYPE". Raises Fault."""
    name, _, kind = text.partition(" ")
    if not is_name(normalise(name)) or " " in kind:
        raise Fault(f"{text!r} is not a question", '"example.com TXT"')
    return [Resolve(normalise(name), kind or "A")]


STEPS = {
    "https": http_steps,
    "http": http_steps,
    "ssh": ssh_steps,
    "tcp": tcp_steps,
    "dns": dns_steps,
}
ACTS = ("shell", "exec", "tool")
_KEYS = ", ".join((*STEPS, *ACTS, "gpu"))


def _text(value: str | list[str] | ToolCase) -> str:
    if isinstance(value, ToolCase):
        return f"{value.name} {json.dumps(value.arguments)}"
    return value if isinstance(value, str) else shlex.join(value)


def _host_port(text: str, usual: str, example: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, usual
    if not port.isdecimal() or not 0 < int(port) < 65536 or not _is_host(normalise(host)):
        raise Fault(f"{text!r} is not a destination", example)
    return normalise(host), int(port)


def _is_host(host: str) -> bool:
    return is_name(host) or parse_address(host) is not None


def _url(scheme: str, text: str) -> str:
    if not text.partition(" ")[2].startswith(f"{scheme}://"):
        raise Fault(f"{text!r} is not a request over {scheme}", f'"GET {scheme}://example.com/"')
    http_steps(text)
    return text


def _https(text: str) -> str:
    return _url("https", text)


def _http(text: str) -> str:
    return _url("http", text)


def _ssh(text: str) -> str:
    ssh_steps(text)
    return text


def _channel(text: str) -> str:
    ssh_channel(text)
    return text


def _tcp(text: str) -> str:
    tcp_steps(text)
    return text


def _dns(text: str) -> str:
    dns_steps(text)
    return text


def _finding(text: str) -> str:
    kind, _, name = text.partition(" ")
    if kind not in _FINDINGS or not name:
        raise Fault(f"{text!r} is not a finding", f'"mining stratum-v1" ({", ".join(_FINDINGS)})')
    return text


def _ip(text: str) -> str:
    if parse_address(text) is None:
        raise Fault(f"{text!r} is not an IP address", "an address such as 10.0.0.1")
    return text


class Step(Strict):
    """One request. Exactly one of the first eight keys is written."""

    https: Annotated[str, AfterValidator(_https)] | None = None
    http: Annotated[str, AfterValidator(_http)] | None = None
    ssh: Annotated[str, AfterValidator(_ssh)] | None = None
    tcp: Annotated[str, AfterValidator(_tcp)] | None = None
    dns: Annotated[str, AfterValidator(_dns)] | None = None
    shell: str | None = Field(default=None, min_length=1)
    exec: list[str] | None = Field(default=None, min_length=1)
    tool: ToolCase | None = None
    directory: str = "/src"
    channel: Annotated[str, AfterValidator(_channel)] | None = None
    program: str = ""
    address: Annotated[str, AfterValidator(_ip)] | None = None
    sni: str | None = None
    finding: Annotated[str, AfterValidator(_finding)] | None = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The written keys among those of which one is, with their values as text."""
        written = ((key, getattr(self, key)) for key in (*STEPS, *ACTS))
        return [(key, _text(value)) for key, value in written if value is not None]

    def steps(self, read: Reader) -> list[Request]:
        """The requests that the firewall would judge, in order."""
        ((key, text),) = self.asked
        steps = [self._detailed(step) for step in self._requests(key, text, read)]
        if self.channel is not None and isinstance(steps[0], Connect):
            user = text.rpartition("@")[0]
            steps.append(SshChannel(steps[0].host, steps[0].port, user, *ssh_channel(self.channel)))
        if self.finding is not None:
            kind, _, name = self.finding.partition(" ")
            known = next(each for each in _FINDINGS if each == kind)
            finding = Finding(known, name, "the test says so", "test case")
            steps = [replace(step, findings=(finding,)) for step in steps]
        return steps

    def _requests(self, key: str, text: str, read: Reader) -> list[Request]:
        if self.exec is not None:
            return [read.program(self.exec, self.directory)]
        if self.tool is not None:
            tool = self.tool
            return [read.call(tool.name, tool.arguments, tool.server, self.directory)]
        return STEPS[key](text) if key in STEPS else [shell_call(text, self.directory, read)]

    def _detailed(self, step: Request) -> Request:
        if isinstance(step, Connect):
            return replace(step, address=self.address, sni=self.sni or step.sni)
        return step


class Case(Step):
    """One request, what was done `after` which it is made, and what the policy must say.

    Instead of a request it may be a process that uses a GPU: `allow` is a declared workload.
    `date` is the day on which it is made (unwritten: today), `labels` are those of the run.
    """

    gpu: GpuCase | None = None
    after: list[Step] = Field(default_factory=list)
    date: DateText | None = None
    labels: dict[LabelText, LabelText] = Field(default_factory=dict)
    expect: Choice
    rule: str | None = None
    reason: str | None = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        gpu = self.gpu
        used = [("gpu", f"{gpu.program} {gpu.arguments}".strip())] if gpu else []
        return [*super().asked, *used]


class CaseFile(Strict):
    """A test file."""

    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case and its verdict; as text, how it failed."""

    file: str
    line: int
    case: Case
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether the verdict is the one that the case expects."""
        return (
            self.verdict.action == self.case.expect
            and self.case.rule in (None, self.verdict.rule)
            and (self.case.reason or "") in self.verdict.reason
        )

    def __str__(self) -> str:
        ((key, text),) = self.case.asked
        wanted = " ".join(
            part
            for part in (
                self.case.expect,
                f"by rule {self.case.rule}" if self.case.rule else "",
                f"because of {self.case.reason!r}" if self.case.reason else "",
            )
            if part
        )
        got = f"{self.verdict.action} by rule {self.verdict.rule} ({self.verdict.source})"
        return (
            f"{self.file}:{self.line}: {key} {text}\n"
            f"  expected: {wanted}\n  got:      {got}\n  reason:   {self.verdict.reason}"
        )


def actor_of(program: str) -> Actor:
    """An actor that is `program`, or unknown."""
    process = Process(0, 0.0, program, (program,), 0) if program else None
    return Actor(sandbox="test", process=process)


def judge(policy: Policy, steps: list[Request], program: str, past: Past = NOTHING) -> Verdict:
    """The verdict that ends a request: the first that is no allow, or the last allow. A flow that
    is passed through unread shows no requests, so its connection is the last word."""
    actor = actor_of(program)
    for step in steps:
        verdict = policy.decide(step, actor, past)
        unread = isinstance(step, Connect) and verdict.obligations.tls == "passthrough"
        if verdict.action != "allow" or unread:
            break
    return verdict


def past_of(policy: Policy, steps: list[Step], read: Reader, date: str | None = None) -> Past:
    """What was done by those of some requests that the policy allows, all of it a moment ago."""
    history = History(clock=lambda: 1.0, today=(lambda: date) if date else None)
    for step in steps:
        requests = step.steps(read)
        past = history.past(policy.remembers, dated=policy.dated)
        if judge(policy, requests, step.program, past).allowed:
            history.add(deeds(requests[-1]), policy.remembers)
    return history.past(policy.remembers, dated=policy.dated)


def read_cases(path: Path) -> list[tuple[int, Case]]:
    """The cases of a file with their lines. Raises PolicyError."""
    node = read(path, str(path))
    cases = validate(CaseFile, node, str(path)).cases
    lines = [node.line_of(("cases", position)) for position in range(len(cases))]
    problems = [
        Problem(str(path), line, "a case asks exactly one thing", f"one of {_KEYS}")
        for line, case in zip(lines, cases, strict=True)
        if any(len(each.asked) != 1 for each in (case, *case.after))
    ]
    if problems:
        raise PolicyError(problems)
    return list(zip(lines, cases, strict=True))


def _verdict(policy: Policy, case: Case, read: Reader) -> Verdict:
    if case.gpu is not None:
        return gpu_verdict(policy, case.gpu.use())
    policy = policy.labelled(case.labels) if case.labels else policy
    past = past_of(policy, case.after, read, case.date)
    return judge(policy, case.steps(read), case.program, past)


def run_cases(policy: Policy, path: Path, read: Reader) -> Iterator[Outcome]:
    """Judge every case of a file. Raises PolicyError for a bad file."""
    for line, case in read_cases(path):
        yield Outcome(str(path), line, case, _verdict(policy, case, read))
