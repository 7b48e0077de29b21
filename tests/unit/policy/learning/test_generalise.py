"""Rules are widened only as asked, from enough examples, and never past a public suffix."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firewall.policy import Policy, load_policy
from firewall.policy.learning import What, generalise, learn, written
from firewall.policy.replay import replay
from firewall.requests import Command, Connect, Execute, Intent, Request, ToolCall
from tests.unit.policy.records import AGENT, get, record

type Write = Callable[[str], Policy]


def learned(observe: Policy, requests: list[Request], *what: What) -> str:
    records = [record(seq, each, observe) for seq, each in enumerate(requests, 1)]
    return written(generalise(learn(records), what))


@pytest.fixture
def observe(policy: Write) -> Policy:
    return policy("mode: observe\n")


def loaded(text: str, tmp_path: Path) -> Policy:
    (tmp_path / "learned.yaml").write_text(text)
    return load_policy(tmp_path / "learned.yaml")


def hosts_of(policy: Policy) -> list[str]:
    return [host for rule in policy.resolved.rules for host in rule.hosts]


def paths_of(policy: Policy) -> set[str | None]:
    return {each.path for rule in policy.resolved.rules for each in rule.requests}


ITEMS: list[Request] = [get("a.example.com", f"/items/{number}") for number in (1, 2, 3)]


def test_nothing_is_widened_unasked(observe: Policy, tmp_path: Path) -> None:
    assert paths_of(loaded(learned(observe, ITEMS), tmp_path)) == {
        "/items/1",
        "/items/2",
        "/items/3",
    }


def test_paths_that_differ_in_one_segment(observe: Policy, tmp_path: Path) -> None:
    text = learned(observe, ITEMS, "paths")
    policy = loaded(text, tmp_path)
    assert paths_of(policy) == {"/items/*"}
    assert '#   "/items/2"' in text
    assert policy.decide(get("a.example.com", "/items/99"), AGENT).allowed
    for other in ("/items", "/items/1/x", "/other/1"):
        assert not policy.decide(get("a.example.com", other), AGENT).allowed


def test_two_are_too_few_and_methods_are_apart(observe: Policy, tmp_path: Path) -> None:
    requests = [*ITEMS[:2], get("a.example.com", "/items/3", "POST")]
    assert "/items/*" not in paths_of(loaded(learned(observe, requests, "paths"), tmp_path))


def test_two_segments_one_after_the_other(observe: Policy, tmp_path: Path) -> None:
    requests: list[Request] = [
        get("a.example.com", f"/o/{owner}/r/{name}") for owner in "xyz" for name in "123"
    ]
    assert paths_of(loaded(learned(observe, requests, "paths"), tmp_path)) == {"/o/*/r/*"}


def test_hosts_below_one_name(observe: Policy, tmp_path: Path) -> None:
    requests: list[Request] = [get(f"{each}.cdn.example.com", f"/{each}") for each in "abc"]
    policy = loaded(learned(observe, requests, "hosts"), tmp_path)
    assert hosts_of(policy) == ["*.cdn.example.com"]
    assert paths_of(policy) == {"/a", "/b", "/c"}


@pytest.mark.parametrize("suffix", ["com", "co.uk", "github.io", "s3.amazonaws.com"])
def test_never_past_a_public_suffix(observe: Policy, tmp_path: Path, suffix: str) -> None:
    requests: list[Request] = [get(f"{each}.{suffix}") for each in ("one", "two", "three")]
    found = hosts_of(loaded(learned(observe, requests, "hosts", "paths"), tmp_path))
    assert found == [f"{each}.{suffix}" for each in ("one", "three", "two")]


SEGMENT = st.sampled_from(["a", "b", "c", "d", "1", "2", "3"])
PATHS = st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts))
HOSTS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(
    lambda labels: ".".join([*labels, "example.com"])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(HOSTS, PATHS, st.sampled_from(["GET", "POST"])), max_size=30))
def test_what_was_seen_stays_allowed(
    observe: Policy, tmp_path: Path, seen: list[tuple[str, str, str]]
) -> None:
    records = [record(seq, get(*each), observe) for seq, each in enumerate(seen, 1)]
    found = learn(records)
    assert not found.skipped
    policy = loaded(written(generalise(found, ["hosts", "paths"])), tmp_path)
    assert replay(policy, records).groups == []


def _ran(*words: str) -> Execute:
    return Execute(words[0], words, "/src")


def test_arguments_that_differ_in_one_word(policy: Write, tmp_path: Path) -> None:
    observe = policy("mode: observe\nshell: {default: deny}\n")
    asked = [_ran("/usr/bin/git", "add", f"{each}.py") for each in ("a", "*", "c")]
    other = _ran("/usr/bin/git", "push")
    text = learned(observe, [*asked, other], "arguments")
    wide = loaded(text, tmp_path)
    assert [each.arguments for each in wide.resolved.shell.rules] == [("add *",), ()]
    assert '"git add a.py"' in text
    assert wide.decide(_ran("/usr/bin/git", "add", "d.py"), AGENT).allowed
    for each in (_ran("/usr/bin/git", "rm", "a.py"), _ran("/usr/bin/git", "push", "-f")):
        assert not wide.decide(each, AGENT).allowed


def test_what_has_an_intent_is_not_widened(policy: Write, tmp_path: Path) -> None:
    observe = policy("mode: observe\nshell: {default: deny}\n")
    asked = [
        Execute(
            "/usr/bin/curl",
            ("curl", url),
            "/src",
            commands=(Command(("curl", url), intents=(Intent("download", url),)),),
        )
        for url in "abc"
    ]
    rules = loaded(learned(observe, list(asked), "arguments"), tmp_path).resolved.shell.rules
    assert [bool(each.exactly) for each in rules] == [True, True, True]


def test_a_shell_is_not_widened(policy: Write, tmp_path: Path) -> None:
    observe = policy("mode: observe\nshell: {default: deny}\n")
    asked: list[Request] = [
        Execute(
            "/usr/bin/dash",
            ("sh", "-c", name),
            "/src",
            commands=(Command(("sh", "-c", name)), Command((name,), ("sh -c",))),
        )
        for name in ("ls", "id", "ps")
    ]
    wide = loaded(learned(observe, asked, "arguments"), tmp_path)
    assert [each.arguments for each in wide.resolved.shell.rules] == [()] * 6


def test_arguments_of_a_tool_that_are_the_same(policy: Write, tmp_path: Path) -> None:
    observe = policy("mode: observe\ntools: {default: deny}\n")
    asked = [ToolCall("fetch", json.dumps({"host": "a.test", "n": n})) for n in range(3)]
    asked += [ToolCall("read", json.dumps({"path": path})) for path in "abc"]
    wide = loaded(learned(observe, list(asked), "arguments"), tmp_path)
    assert [each.where for each in wide.resolved.tools.rules] == [{"$.host": "a.test"}, None]
    assert wide.decide(ToolCall("fetch", '{"host": "a.test", "n": 9}'), AGENT).allowed
    assert not wide.decide(ToolCall("fetch", '{"host": "b.test", "n": 1}'), AGENT).allowed


def test_hosts_of_streams_too(observe: Policy, tmp_path: Path) -> None:
    seen: list[Request] = [Connect(f"{each}.db.example.com", 5432) for each in "abc"]
    assert hosts_of(loaded(learned(observe, seen, "hosts"), tmp_path)) == ["*.db.example.com"]
