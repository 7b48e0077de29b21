"""Whatever a log holds, its learned policy allows what was learned, and nothing else of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firewall.policy import Policy, load_policy
from firewall.policy.learning import learn, written
from firewall.policy.replay import replay
from firewall.requests import (
    Connect,
    Execute,
    Finding,
    Message,
    Protocol,
    Request,
    SshChannel,
    SshKind,
    ToolCall,
)
from tests.unit.policy.records import get, record

OBSERVE = """
mode: observe
shell: {default: deny, rules: [{name: never-run, deny: [never, "/usr/sbin/x"]}]}
tools: {default: deny, rules: [{name: asked, ask: [Ask]}]}
network:
  rules:
    - {name: never, deny: any, hosts: [bad.test]}
"""
MINING = (Finding("mining", "stratum-v1", "mining.subscribe", "the body"),)
REFUSED = Connect("bad.test", 22, protocol="silent", sni="bad.test")
PROTOCOLS: list[Protocol] = ["tls", "unknown", "silent", "ssh", "http", "socks"]
KINDS: list[SshKind] = [
    "login", "exec", "shell", "pty", "env", "subsystem", "local-forward", "agent", "write-file",
]  # fmt: skip

names = st.sampled_from(["a.test", "b.test", "bad.test", "10.0.0.1", "c.a.test"])
addresses = st.sampled_from(
    [None, None, "9.9.9.9", "10.0.0.5", "10.0.0.6", "::ffff:10.0.0.1", "169.254.169.254", "fe80::1"]
)
ports = st.sampled_from([22, 443, 5432])
words = st.text(max_size=4) | st.sampled_from(["-x", "*", "a b", "[redacted:1]", "$X", "😀", "1e3"])
values = words | st.integers() | st.floats(allow_nan=False) | st.lists(words, max_size=2)


@st.composite
def connections(draw: st.DrawFn) -> Connect:
    """A connection, in which something may have been found."""
    host, found = draw(names), draw(st.sampled_from([(), (), (), MINING]))
    speaks = draw(st.sampled_from(PROTOCOLS))
    sni, address = draw(st.sampled_from([host, None])), draw(addresses)
    return Connect(host, draw(ports), protocol=speaks, sni=sni, address=address, findings=found)


@st.composite
def programs(draw: st.DrawFn) -> Execute:
    """A program that is run."""
    path = draw(st.sampled_from(["/usr/bin/x", "/usr/sbin/x", "/src/x", "never", "/src/[x]"]))
    return Execute(path, (path, *draw(st.lists(words, max_size=3))), "/src")


@st.composite
def tool_calls(draw: st.DrawFn) -> ToolCall:
    """A call of a tool."""
    tool = draw(st.sampled_from(["Read", "Ask", "mcp__a__b", "a b", "T*"]))
    return ToolCall(tool, json.dumps(draw(st.dictionaries(words, values, max_size=2))))


requests = st.one_of(
    connections(),
    programs(),
    tool_calls(),
    st.builds(
        get,
        names,
        st.sampled_from(["/", "/x", "/x/y", "/*", "/../y"]),
        st.sampled_from(["GET", "POST"]),
    ),
    st.builds(
        SshChannel,
        names,
        st.just(22),
        st.sampled_from(["git", "ops"]),
        st.sampled_from(KINDS),
        words | st.sampled_from(["db.test:5432", "/srv/x", "/srv/x y", "LANG", "sftp"]),
    ),
    st.builds(Message, names, ports, st.just("stream"), st.just("sent"), st.just(MINING)),
)


@pytest.fixture
def observe(policy: Callable[[str], Policy]) -> Policy:
    return policy(OBSERVE)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)
@given(st.lists(requests, max_size=25), st.booleans(), st.booleans())
@example([SshChannel("bad.test", 22, "git", "exec", "0"), REFUSED], False, False)
@example([REFUSED, replace(REFUSED, address="10.0.0.5")], False, True)
def test_what_was_learned_is_allowed_and_nothing_more(
    observe: Policy, tmp_path: Path, asked: list[Request], unread: bool, private: bool
) -> None:
    """What was observed is allowed by what was learned, or told as left out; nothing that a rule
    or a guard refused, and nothing that was left out, is allowed."""
    records = [record(seq, each, observe) for seq, each in enumerate(asked, 1)]
    found = learn(records, unread=unread, private=private)
    (tmp_path / "learned.yaml").write_text(written(found))
    compared = replay(load_policy(tmp_path / "learned.yaml"), records)
    lost = [group for group in compared.groups if group.before.effect != group.after.effect]
    assert all(group.before.observed and group.after.effect != "allow" for group in lost)
    assert sum(group.count for group in lost) == sum(each.count for each in found.skipped.values())
