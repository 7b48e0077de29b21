"""Tests of a policy as data: `X.test.yaml` beside `X.yaml`, one line a case.

cases:
  - {https: "POST https://github.com/o/r/git-receive-pack", expect: deny, rule: default}
  - {dns: "example.com TXT", expect: deny, rule: names, reason: "answered empty"}
  - {ssh: "git@example.com git-receive-pack o/r", expect: deny, rule: default}
  - {https: "POST https://api.example.com/graphql", body: {query: "{ viewer }"}, expect: allow}
  - {ssh: "git@example.com", channel: "local-forward db.internal:5432", expect: deny}
  - {shell: "git push origin main", directory: /work, expect: ask, rule: push}
  - {exec: [/usr/bin/nc, -l], expect: deny, rule: no-remote-shells}
  - {tool: {name: Read, arguments: {file_path: /src/x}}, expect: allow}
  - {https: "POST https://api.example.com/v1", expect: allow, limits: [sent 50MB/h]}
  - {gpu: {program: /usr/bin/python3, arguments: train.py}, expect: allow, rule: trainer}
  - {exec: [/src/x], after: [{shell: "curl -o /src/x https://example.com/x"}], expect: deny}
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from firewall.actor import Actor, Process
from firewall.deeds import NOTHING, Past, deeds
from firewall.frozen import frozen
from firewall.history import History
from firewall.policy.actcases import Reader, ToolCase, shell_call
from firewall.policy.acts import Choice
from firewall.policy.addresses import parse_address
from firewall.policy.document import validate
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.gpucases import GpuCase, gpu_verdict
from firewall.policy.holding import DateText, LabelText
from firewall.policy.policy import Policy
from firewall.policy.steps import (
    STEPS,
    checked_channel,
    checked_dns,
    checked_http,
    checked_https,
    checked_ssh,
    checked_tcp,
    ssh_channel,
    with_body,
)
from firewall.policy.strict import Strict
from firewall.policy.text import read
from firewall.requests import (
    Connect,
    Finding,
    FindingKind,
    HttpRequest,
    Request,
    SshChannel,
)
from firewall.verdict import Obligations, Verdict

_FINDINGS: tuple[FindingKind, ...] = get_args(FindingKind.__value__)

ACTS = ("shell", "exec", "tool")
_KEYS = ", ".join((*STEPS, *ACTS, "gpu"))


def _json(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _text(value: str | list[str] | ToolCase) -> str:
    if isinstance(value, ToolCase):
        return f"{value.name} {json.dumps(value.arguments)}"
    return value if isinstance(value, str) else shlex.join(value)


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
    """One request. Exactly one of the first eight keys is written. `body` is an HTTP request's, in
    JSON: as a text, or as what the text would say."""

    https: Annotated[str, AfterValidator(checked_https)] | None = None
    http: Annotated[str, AfterValidator(checked_http)] | None = None
    ssh: Annotated[str, AfterValidator(checked_ssh)] | None = None
    tcp: Annotated[str, AfterValidator(checked_tcp)] | None = None
    dns: Annotated[str, AfterValidator(checked_dns)] | None = None
    shell: str | None = Field(default=None, min_length=1)
    exec: list[str] | None = Field(default=None, min_length=1)
    tool: ToolCase | None = None
    directory: str = "/src"
    body: Annotated[str, BeforeValidator(_json)] | None = None
    channel: Annotated[str, AfterValidator(checked_channel)] | None = None
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
        """The requests that the firewall would judge, in order. Raises Fault for a body that
        nothing could judge."""
        ((key, text),) = self.asked
        steps = [self._detailed(step) for step in self._requests(key, text, read)]
        if self.body is not None:
            steps = with_body(steps, self.body)
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
    `limits` are all that must hold for it, as "sent 50MB/h" or "requests 9/min per host".
    """

    gpu: GpuCase | None = None
    after: list[Step] = Field(default_factory=list)
    date: DateText | None = None
    labels: dict[LabelText, LabelText] = Field(default_factory=dict)
    expect: Choice
    rule: str | None = None
    reason: str | None = None
    limits: list[str] | None = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        gpu = self.gpu
        used = [("gpu", f"{gpu.program} {gpu.arguments}".strip())] if gpu else []
        return [*super().asked, *used]


class CaseFile(Strict):
    """A test file."""

    cases: list[Case] = Field(min_length=1)


@frozen
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
            and (self.case.limits is None or sorted(self.case.limits) == self.limits)
        )

    @property
    def limits(self) -> list[str]:
        """The limits that hold for what is allowed, as cases name them."""
        return sorted(str(each) for each in self.verdict.obligations.limits)

    def __str__(self) -> str:
        ((key, text),) = self.case.asked
        wanted = " ".join(
            part
            for part in (
                self.case.expect,
                f"by rule {self.case.rule}" if self.case.rule else "",
                f"because of {self.case.reason!r}" if self.case.reason else "",
                f"under limits {self.case.limits}" if self.case.limits is not None else "",
            )
            if part
        )
        got = f"{self.verdict.action} by rule {self.verdict.rule} ({self.verdict.source})"
        got += f" under limits {self.limits}" if self.limits else ""
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
    is passed through unread shows no requests, so its connection is the last word. What is allowed
    inside SSH is obliged as its connection is."""
    actor, connection = actor_of(program), Obligations()
    for step in steps:
        verdict = _decided(policy, step, actor, past)
        if isinstance(step, Connect):
            connection = verdict.obligations
        elif isinstance(step, SshChannel) and verdict.action == "allow":
            verdict = replace(verdict, obligations=connection)
        unread = isinstance(step, Connect) and verdict.obligations.tls == "passthrough"
        if verdict.action != "allow" or unread:
            break
    return verdict


def _decided(policy: Policy, step: Request, actor: Actor, past: Past) -> Verdict:
    """The verdict on one step. As on its way, a body is read only where it has to be."""
    if isinstance(step, HttpRequest) and step.calls is not None:
        verdict = policy.decide(replace(step, calls=None), actor, past)
        if verdict.action == "allow":
            return verdict
    return policy.decide(step, actor, past)


def must_be_judged(policy: Policy, steps: list[Request]) -> None:
    """Raise Fault where no rule would judge the body of an HTTP request, which then says nothing
    about the policy."""
    for step in steps:
        if isinstance(step, HttpRequest) and not policy.reads(step):
            what = f"no rule for {step.host} judges bodies, so this one changes nothing"
            raise Fault(what, "no body, or graphql, json-rpc or mcp in requests of a rule")


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
    """Judge every case of a file. Raises PolicyError for a bad file, and for a body that no rule
    judges."""
    for line, case in read_cases(path):
        try:
            for step in (case, *case.after):
                if step.body is not None:
                    must_be_judged(policy, step.steps(read))
        except Fault as fault:
            raise PolicyError([Problem(str(path), line, fault.what, fault.write)]) from None
        yield Outcome(str(path), line, case, _verdict(policy, case, read))
