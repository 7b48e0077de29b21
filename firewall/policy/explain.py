"""Why a policy says what it says: the verdict, and every rule that was considered."""

from collections.abc import Iterator

from firewall.deeds import NOTHING, Past
from firewall.frozen import frozen
from firewall.policy.actcases import Reader, act_of
from firewall.policy.addresses import parse_address
from firewall.policy.cases import actor_of, judge, must_be_judged
from firewall.policy.errors import Fault
from firewall.policy.gpucases import gpu_case, gpu_verdict
from firewall.policy.hosts import normalise, parse_host
from firewall.policy.policy import Policy
from firewall.policy.programs import ProgramRule, Programs, run_of, runs_of
from firewall.policy.resolved import ResolvedProgramRule, ResolvedRule, ResolvedToolRule
from firewall.policy.rules import Asked, Rule
from firewall.policy.rulings import DOES
from firewall.policy.steps import STEPS, with_body
from firewall.policy.toolrules import Called, ToolRule, Tools
from firewall.requests import Connect, Execute, HttpRequest, Protocol, Request, SshChannel, ToolCall
from firewall.verdict import Verdict
from firewall.workloads import Use, Workload


@frozen
class Considered:
    """A rule, whether it applies, and why it does or not."""

    rule: ResolvedRule | ResolvedProgramRule | ResolvedToolRule | Workload
    applies: bool
    why: str


@frozen
class Explanation:
    """The verdict on a request as a person wrote it, and what every rule had to do with it."""

    asked: str
    verdict: Verdict
    considered: tuple[Considered, ...]


def steps_of(text: str) -> list[Request]:
    """The requests behind a text such as "POST https://host/path" or "tcp host:port".

    Others are "ssh user@host command" and "dns name TYPE". Raises Fault where it is none of them.
    """
    word, _, rest = text.strip().partition(" ")
    if word in ("ssh", "tcp", "dns"):
        return STEPS[word](rest.strip())
    if "://" in text:
        return STEPS["https"](text.strip() if rest else f"GET {text.strip()}")
    example = (
        '"POST https://host/path", "ssh git@host ls", "tcp host:port", "dns name TXT",'
        ' "shell: git push", "exec: /bin/nc -l", "tool: NAME {...}" or "gpu: PROGRAM"'
    )
    raise Fault(f"{text!r} is not a request", example)


def explain(
    policy: Policy,
    text: str,
    read: Reader,
    program: str = "",
    directory: str = "",
    past: Past = NOTHING,
    body: str | None = None,
) -> Explanation:
    """Explain the verdict on a request, made on the day that `past` tells; `body` is that of an
    HTTP request, in JSON. Raises Fault where `text` is none, or no rule judges the body."""
    if body is not None:
        return _explained(policy, text, _with_body(policy, text, body), program, past)
    if (gpu := gpu_case(text.strip())) is not None:
        workloads = tuple(_consider_workload(each, gpu.use()) for each in policy.gpu.workloads)
        return Explanation(text, gpu_verdict(policy, gpu.use()), workloads)
    act = act_of(text.strip(), directory, read)
    if act is not None:
        verdict = judge(policy, [act], program, past)
        return Explanation(text, verdict, tuple(_consider_act(policy, act, past)))
    return _explained(policy, text, steps_of(text), program, past)


def _with_body(policy: Policy, text: str, body: str) -> list[Request]:
    steps = with_body(steps_of(text), body)
    must_be_judged(policy, steps)
    return steps


def _explained(
    policy: Policy, text: str, steps: list[Request], program: str, past: Past
) -> Explanation:
    verdict = judge(policy, steps, program, past)
    asked = _asked(steps, program, past)
    if asked is None:
        return Explanation(text, verdict, considered=())
    considered = tuple(
        _consider(Rule(rule, policy.labels), asked, steps[-1]) for rule in policy.resolved.rules
    )
    return Explanation(text, verdict, considered)


def _consider_workload(workload: Workload, use: Use) -> Considered:
    misfits = ", ".join(workload.misfits(use))
    why = f"its {misfits} do not fit, or are not known" if misfits else "it is this workload"
    return Considered(workload, not misfits, why)


def _consider_act(policy: Policy, act: Execute | ToolCall, past: Past) -> Iterator[Considered]:
    runs = runs_of(act) if isinstance(act, Execute) else [run_of(each) for each in act.commands]
    for rule in Programs(policy.resolved.shell, "", policy.labels).rules:
        fits = [run for run in runs if not rule.miss(run, certain=rule.allows)]
        lacks = [f"{run}: its {rule.miss(run, certain=rule.allows)} do not fit" for run in runs]
        why = _why(rule, [str(run) for run in fits]) or "; ".join(lacks) or "nothing is run"
        holds = rule.sequence is None and rule.in_force(past)
        yield Considered(rule.document, bool(fits) and holds, why + _unless(rule, past))
    if isinstance(act, Execute):
        return
    called = Called(act)
    for tool in Tools(policy.resolved.tools, "", policy.labels).rules:
        lack = tool.miss(called, certain=tool.allows)
        why = f"{lack} does not fit" if lack else _why(tool, [called.name])
        holds = tool.sequence is None and tool.in_force(past)
        yield Considered(tool.document, not lack and holds, why + _unless(tool, past))


def _unless(rule: ProgramRule | ToolRule, past: Past) -> str:
    """Why a rule holds on other days or in other runs only; "" where it holds."""
    return "" if rule.in_force(past) or not rule.holding else f", but {rule.holding.when()}"


def _why(rule: ProgramRule | ToolRule, what: list[str]) -> str:
    """Why a rule applies to some of what is asked; "" where that is none."""
    if not what:
        return ""
    after = rule.sequence
    condition = f", but only after a {after.did}" if after else ""
    return f"{DOES[rule.document.action]} {', '.join(what)}{condition}"


def _asked(steps: list[Request], program: str, past: Past) -> Asked | None:
    """The last step as rules see it; None for questions, which no rule decides."""
    last, who = steps[-1], actor_of(program).program
    if isinstance(last, HttpRequest):
        protocol: Protocol = "tls" if last.scheme == "https" else "http"
        return Asked(
            last.host, last.port, protocol, who, last.method, last.path, past, last.calls,
            last.copies, last.overrides,
        )  # fmt: skip
    if isinstance(last, Connect):
        return Asked(last.host, last.port, last.protocol, who, past=past)
    if isinstance(last, SshChannel):
        return Asked(last.host, last.port, "ssh", who, past=past)
    return None


def _consider(rule: Rule, asked: Asked, last: Request) -> Considered:
    document = rule.document
    if not any(_names(host, asked.host) for host in document.hosts):
        return Considered(document, False, f"its hosts do not include {asked.host}")
    if document.action == "deny":
        applies = rule.denies(asked)
        other = f"denies something else{rule.limited()}"
        return Considered(document, applies, "denies it" if applies else other)
    miss = rule.miss(asked)
    if miss is None and isinstance(last, SshChannel) and rule.channels is not None:
        covers = rule.channels.covers(last)
        lack = "" if covers else f"allows {rule.channels.lack(last).allows}"
        return Considered(document, covers, lack or "allows it")
    return Considered(document, miss is None, miss.reason if miss else "allows it")


def _names(host: str, asked: str) -> bool:
    """Whether a host as written in a rule includes a host as asked for."""
    pattern, address = parse_host(host), parse_address(asked)
    if pattern.network is not None:
        return address is not None and address in pattern.network
    return address is None and pattern.covers(parse_host(normalise(asked)))
