"""Rules about programs: what they name, what they leave open, and what is told."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.actor import Actor
from firewall.deeds import NOTHING
from firewall.policy import Policy
from firewall.policy.programs import Programs, run_of
from firewall.policy.resolved import ResolvedProgramRule, ResolvedShell
from firewall.policy.rulings import STRICTNESS
from firewall.requests import Command, Execute, Finding, Intent, IntentName, Opaque, ToolCall
from firewall.verdict import Action, Verdict

NOBODY = Actor(sandbox="test")

RULES = """
shell:
  rules:
    - {name: no-remote-shells, deny: [nc, "ncat*", /opt/evil/bin/x], reason: a door}
    - {name: push, ask: [git], arguments: ["push *", push]}
    - {name: no-publish, deny: any, intents: [package.publish, ssh.forward-remote]}
    - {name: no-etc, deny: [tee], directories: ["/etc", "*/.ssh"]}
    - {name: no-hash, deny: any, digests: ["%s"]}
"""
DIGEST = "ab" * 32


@pytest.fixture
def rules(policy: Callable[[str], Policy]) -> Policy:
    return policy(RULES % DIGEST)


def command(text: str, *intents: IntentName, directory: str = "/src", via: str = "") -> Command:
    """A command of words; "$" stands for one that only running can tell."""
    words = tuple(None if word == "$" else word for word in text.split())
    found = tuple(Intent(name) for name in intents)
    return Command(words, tuple(via.split()), directory, found)


def call(*commands: Command, opaque: tuple[Opaque, ...] = ()) -> ToolCall:
    return ToolCall("Bash", "{}", directory="/src", commands=commands, opaque=opaque)


def execute(path: str, *arguments: str, **changes: Any) -> Execute:
    argv = (path.rpartition("/")[2], *arguments)
    return replace(Execute(path, argv, "/src", digest="00" * 32), **changes)


def text(policy: Policy, *commands: Command) -> Verdict:
    return policy.decide(call(*commands), NOBODY)


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (command("nc -l"), "no-remote-shells"),
        (command("/tmp/nc -l"), "no-remote-shells"),
        (command("ncat6"), "no-remote-shells"),
        (command("x"), "no-remote-shells"),
        (command("/opt/evil/bin/../bin/x"), "no-remote-shells"),
        (command("npm publish", "package.publish"), "no-publish"),
        (command("tee a", directory="/etc/cron.d"), "no-etc"),
        (command("tee a", directory="/home/a/.ssh"), "no-etc"),
        (command("tee a", directory=""), "no-etc"),
    ],
)
def test_denied(rules: Policy, asked: Command, rule: str) -> None:
    verdict = text(rules, command("ls"), asked)
    assert (verdict.action, verdict.rule) == (Action.DENY, rule)
    assert verdict.enforced


@pytest.mark.parametrize(
    "asked",
    [
        command("ls -l"),
        command("ncatx/y"),
        command("/usr/bin/x"),
        command("npm install", "package.install"),
        command("ssh h", "ssh.login"),
        command("tee a", directory="/etcetera"),
        command("git pull"),
        command("git pushy"),
    ],
)
def test_what_no_rule_names_is_allowed(rules: Policy, asked: Command) -> None:
    verdict = text(rules, asked)
    assert (verdict.action, verdict.rule) == (Action.ALLOW, "shell.default")
    assert "no rule names what is run" in verdict.reason


def test_the_reason_names_the_inner_command_and_how_it_is_reached(rules: Policy) -> None:
    verdict = text(rules, command("bash -c x"), command("nc -l 1", via="bash xargs"))
    assert verdict.reason == (
        "rule no-remote-shells denies nc -l 1 (run through bash, xargs): a door"
    )
    assert verdict.remedy.startswith("narrow or remove rule no-remote-shells (test.yaml:")
    assert verdict.source == "test.yaml:6"


def test_ask_is_between_deny_and_allow(rules: Policy) -> None:
    push = command("git push origin main")
    asked = text(rules, command("ls"), push)
    assert (asked.action, asked.rule) == (Action.ASK, "push")
    assert "let a person allow it" in asked.remedy
    assert not asked.allowed
    assert text(rules, push, command("nc")).action is Action.DENY


def test_a_word_that_is_not_known_may_be_any_for_an_ask_or_deny(rules: Policy) -> None:
    assert text(rules, command("git $")).rule == "push"
    assert text(rules, command("git $ origin")).rule == "push"
    assert text(rules, command("git push $")).rule == "push"
    assert text(rules, command("git pull $")).rule == "shell.default"


def test_a_program_is_its_file_its_script_and_what_it_calls_itself(rules: Policy) -> None:
    for asked in (
        execute("/tmp/nc"),
        execute("/bin/busybox", argv=("nc", "-l")),
        execute("/usr/bin/dash", script="/src/nc"),
        execute("/tmp/a", commands=(command("nc -l"),)),
        execute("/usr/bin/env", commands=(command("env nc"), command("nc", via="env"))),
    ):
        assert rules.decide(asked, NOBODY).rule == "no-remote-shells", asked
    assert rules.decide(execute("/bin/ls"), NOBODY).rule == "shell.default"


def test_digests_are_for_the_exec_gate(rules: Policy) -> None:
    assert rules.decide(execute("/bin/ls", digest=DIGEST), NOBODY).rule == "no-hash"
    unread = rules.decide(execute("/bin/ls", digest=""), NOBODY)
    assert unread.rule == "no-hash", "a file that was not read may be the one"
    assert text(rules, command("ls")).allowed, "its program is judged where it runs"


STRICT = """
shell:
  default: deny
  opaque: ask
  execute-from: [/usr/bin, /src/.venv]
  rules:
    - {name: tools, allow: [ls, "python3*", /src/run.sh, "/srv/*/tool"]}
    - {name: git-read, allow: [git], arguments: ["status", "log *"]}
    - {name: fetches, allow: any, intents: [git.fetch]}
    - {name: inside, allow: [make], directories: [/src]}
"""


@pytest.fixture
def strict(policy: Callable[[str], Policy]) -> Policy:
    return policy(STRICT)


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (call(command("ls -l")), "tools"),
        (call(command("/usr/bin/ls")), "tools"),
        (call(command("./run.sh x")), "tools"),
        (call(command("git status")), "git-read"),
        (call(command("git clone x", "git.fetch")), "fetches"),
        (call(command("make all", directory="/src/a")), "inside"),
        (execute("/usr/bin/python3.12"), "tools"),
        (execute("/src/.venv/bin/python3"), "tools"),
        (execute("/bin/dash", script="/src/run.sh"), "tools"),
        (execute("/srv/a/tool"), "tools"),
    ],
)
def test_allowed_by_name(strict: Policy, asked: ToolCall | Execute, rule: str) -> None:
    verdict = strict.decide(asked, NOBODY)
    assert (verdict.action, verdict.rule) == (Action.ALLOW, rule)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (call(command("rm x")), "no rule allows rm x, and shell.default is deny"),
        (call(command("./ls")), "the programs of rule tools do not fit"),
        (call(command("/tmp/ls")), "the programs of rule tools do not fit"),
        (execute("/tmp/ls"), "the programs of rule tools do not fit"),
        (execute("/tmp/a", argv=("ls",)), "the programs of rule tools do not fit"),
        (call(command("git push")), "the arguments of rule git-read do not fit"),
        (call(command("git log $")), "the arguments of rule git-read do not fit"),
        (call(command("git x", "git.fetch", "git.push")), "the intents of rule fetches do not fit"),
        (call(command("git clone $", "git.fetch")), "the intents of rule fetches do not fit"),
        (call(command("make", directory="/tmp")), "the directories of rule inside do not fit"),
        (call(command("make", directory="")), "the directories of rule inside do not fit"),
        (call(command("$ x")), "no rule allows … x"),
        (call(command("ls"), command("rm x")), "no rule allows rm x"),
    ],
)
def test_an_allow_holds_only_where_all_is_known(
    strict: Policy, asked: ToolCall | Execute, reason: str
) -> None:
    verdict = strict.decide(asked, NOBODY)
    assert (verdict.action, verdict.rule) == (Action.DENY, "shell.default")
    assert reason in verdict.reason
    assert verdict.source == "test.yaml:5"


def test_the_remedy_can_be_copied(strict: Policy) -> None:
    assert text(strict, command("rm -r [a]*")).remedy == (
        'add to shell.rules: {name: rm, allow: ["rm"], arguments: ["-r [[]a][*]"]} (test.yaml)'
    )
    assert text(strict, command("git push")).remedy == (
        'add "push" to arguments of rule git-read (test.yaml:10)'
    )
    assert strict.decide(execute("/tmp/b"), NOBODY).remedy == (
        'add to shell.rules: {name: b, allow: ["/tmp/b"]} (test.yaml)'
    )
    assert text(strict, command("$")).remedy == ""


def test_the_remedy_allows_what_was_refused_and_nothing_else(
    policy: Callable[[str], Policy],
) -> None:
    rule = '{name: rm, allow: ["rm"], arguments: ["-r [[]a][*]"]}'
    changed = policy(f"shell: {{default: deny, rules: [{rule}]}}")
    assert text(changed, command("rm -r [a]*")).allowed
    assert not text(changed, command("rm -r a")).allowed


OPAQUE = Opaque("a quote is not closed", "echo '")


def test_what_cannot_be_read(
    strict: Policy, rules: Policy, policy: Callable[[str], Policy]
) -> None:
    left = rules.decide(call(command("ls"), opaque=(OPAQUE,)), NOBODY)
    assert (left.action, left.rule) == (Action.ALLOW, "shell.opaque")
    assert "a quote is not closed (echo '); the exec gate judges" in left.reason
    asked = strict.decide(call(command("ls"), opaque=(OPAQUE,)), NOBODY)
    assert (asked.action, asked.rule, asked.source) == (Action.ASK, "shell.opaque", "test.yaml:6")
    denied = policy("shell: {opaque: deny}").decide(call(opaque=(OPAQUE,)), NOBODY)
    assert (denied.action, denied.rule) == (Action.DENY, "shell.opaque")
    assert "opaque: leave-to-exec-gate" in denied.remedy


def test_a_program_that_is_not_known_is_what_cannot_be_read(
    rules: Policy, policy: Callable[[str], Policy]
) -> None:
    assert text(rules, command("$ -l")).rule == "shell.opaque"
    assert text(rules, command("$ -l")).allowed
    assert text(policy("shell: {opaque: deny}"), command("$ -l")).action is Action.DENY
    any_program = "shell: {rules: [{name: no-l, deny: any, arguments: ['-l']}]}"
    assert text(policy(any_program), command("$ -l")).rule == "no-l"


def test_guards_beat_all(strict: Policy) -> None:
    mining = Finding("mining", "miner", "mining program", "argument 0")
    found = replace(call(command("ls")), findings=(mining,))
    assert strict.decide(found, NOBODY).rule == "guards.mining"


def test_observing_enforces_nothing(policy: Callable[[str], Policy]) -> None:
    watched = policy("mode: observe\n" + RULES % DIGEST)
    verdict = text(watched, command("nc"))
    assert (verdict.action, verdict.allowed) == (Action.DENY, True)
    asked = text(watched, command("git push"))
    assert (asked.action, asked.allowed) == (Action.ASK, True)


def test_what_an_agent_writes_cannot_move_a_cursor(rules: Policy) -> None:
    verdict = text(rules, Command(("nc", "\x1b[2J"), directory="/src"))
    assert verdict.reason.isprintable()


# Properties. Few names and words, so that rules and commands meet often.

NAMES = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from(["x", "y", "xy"])
GLOBS = st.sampled_from(["x", "x *", "*y*", "?", "", "[xy] *"]).filter(bool)
RULE = st.builds(
    ResolvedProgramRule,
    name=st.uuids().map(lambda each: f"r{each.hex[:6]}"),
    action=st.sampled_from(["allow", "ask", "deny"]),
    programs=st.none() | st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    arguments=st.lists(GLOBS, max_size=2).map(tuple),
    intents=st.lists(st.sampled_from(["git", "scan"]), max_size=1).map(tuple),
    directories=st.lists(st.sampled_from(["/src", "/etc"]), max_size=1).map(tuple),
    source=st.just("here"),
)
SHELL = st.builds(
    ResolvedShell,
    default=st.sampled_from(["allow", "ask", "deny"]),
    opaque=st.sampled_from(["deny"]),
    rules=st.lists(RULE, max_size=5, unique_by=lambda rule: rule.name).map(tuple),
)
COMMAND = st.builds(
    Command,
    words=st.tuples(NAMES).flatmap(
        lambda head: st.lists(WORDS, max_size=3).map(lambda rest: (*head, *rest))
    ),
    directory=st.sampled_from(["/src/a", "/etc", ""]),
    intents=st.lists(
        st.sampled_from([Intent("git.push"), Intent("scan"), Intent("mining")]), max_size=2
    ).map(tuple),
)


def _judged(shell: ResolvedShell, asked: Command) -> tuple[int, str]:
    ruling = Programs(shell, "file").judge(run_of(asked), NOTHING)
    return STRICTNESS[ruling.action], ruling.rule


@given(SHELL, COMMAND, st.randoms())
def test_the_order_of_rules_never_matters(
    shell: ResolvedShell, asked: Command, random: Random
) -> None:
    rules = list(shell.rules)
    random.shuffle(rules)
    shuffled = shell.model_copy(update={"rules": tuple(rules)})
    assert _judged(shuffled, asked) == _judged(shell, asked)


@given(SHELL, COMMAND, RULE)
def test_one_more_deny_never_allows_more(
    shell: ResolvedShell, asked: Command, rule: ResolvedProgramRule
) -> None:
    deny = rule.model_copy(update={"action": "deny"})
    more = shell.model_copy(update={"rules": (*shell.rules, deny)})
    assert _judged(more, asked)[0] >= _judged(shell, asked)[0]


@given(SHELL, COMMAND, st.sets(st.integers(0, 3), min_size=1))
def test_what_is_not_known_never_helps(
    shell: ResolvedShell, asked: Command, places: set[int]
) -> None:
    words = tuple(None if at in places else word for at, word in enumerate(asked.words))
    unknown = replace(asked, words=words)
    assert _judged(shell, unknown)[0] >= _judged(shell, asked)[0]


def _microseconds(policy: Policy, asked: ToolCall) -> float:
    samples = []
    for _ in range(2_000):
        started = perf_counter()
        policy.decide(asked, NOBODY)
        samples.append(perf_counter() - started)
    return median(samples) * 1e6


def test_the_cost_does_not_grow_with_the_rules(policy: Callable[[str], Policy]) -> None:
    line = "    - {{name: r{0}, deny: [p{0}], arguments: ['x *']}}\n"
    asked = call(command("git log --oneline"))
    costs = {
        count: _microseconds(
            policy("shell:\n  rules:\n" + "".join(line.format(n) for n in range(count))), asked
        )
        for count in (10, 1000)
    }
    print(f"a tool call: {costs[10]:.1f} us with 10 rules, {costs[1000]:.1f} with 1000")
    assert costs[10] < 100
    assert costs[1000] < 3 * costs[10]


EXACT = """
shell:
  default: allow
  rules:
    - {name: no-force, deny: [git], arguments: ["* --force"]}
    - {name: push, ask: [git, /usr/bin/git], arguments: ["push*"]}
    - {name: mine, allow: [git], exactly: {arguments: [push, "a b"], directory: /src}}
    - {name: worse, allow: [git], exactly: {arguments: [push, --force]}}
"""


@pytest.mark.parametrize(
    ("words", "directory", "rule"),
    [
        (("git", "push", "a b"), "/src", "mine"),
        (("git", "push", "a", "b"), "/src", "push"),
        (("git", "push", "a b", "c"), "/src", "push"),
        (("git", "push", "a b"), "/src/in", "push"),
        (("git", "push", "a b"), "", "push"),
        (("git", "push", None, "x"), "/src", "push"),
        (("./git", "push", "a b"), "/src", "push"),
        (("git", "push", "--force"), "/src", "no-force"),
    ],
)
def test_what_is_allowed_exactly_beats_an_ask_and_no_deny(
    policy: Callable[[str], Policy], words: tuple[str | None, ...], directory: str, rule: str
) -> None:
    assert text(policy(EXACT), Command(words, (), directory)).rule == rule


def test_an_exact_allow_is_no_near_miss_to_be_widened(policy: Callable[[str], Policy]) -> None:
    verdict = text(policy(EXACT.replace("default: allow", "default: deny")), command("git pull"))
    assert "mine" not in verdict.reason + verdict.remedy
