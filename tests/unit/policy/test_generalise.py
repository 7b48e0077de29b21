"""Rules are widened only as asked, from enough examples, and never past a public suffix."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firewall.policy import Policy, load_policy
from firewall.policy.generalise import What, generalise
from firewall.policy.learn import learn, written
from firewall.policy.replay import replay
from firewall.requests import Request
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
