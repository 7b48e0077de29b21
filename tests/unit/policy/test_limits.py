"""Limits in the language: what is written, what is wrong, and which hold for what is allowed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.cli.reader import CommandReader
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.cases import run_cases
from firewall.policy.difference import differences
from firewall.requests import Connect, HttpRequest
from firewall.verdict import Limit

type Write = Callable[[str], Policy]
NOBODY = Actor("run")
POLICY = """
network:
  limits: {names: 20/h}
  rules:
    - name: api
      allow: https
      hosts: [api.test]
      limits:
        - {sent: 50MB/h, requests: 100/5min}
        - {received: 1GB/d, per: host}
    - {name: read, allow: https, hosts: ["*.test"], methods: [GET], limits: {requests: 9/min}}
    - name: box
      allow: ssh
      hosts: [box.test]
      shell: true
      limits: {sessions: 3, sent: 5MB, received: 2KB/30s, per: program}
    - {name: unread, allow: tcp, hosts: [db.test], ports: [5432], limits: {connections: 3/s}}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> Policy:
        path = tmp_path / "p.yaml"
        path.write_text(f"version: 1\nname: p\n{text}")
        return load_policy(path)

    return make


def limits(policy: Policy, request: Connect | HttpRequest) -> list[str]:
    return [str(each) for each in policy.decide(request, NOBODY).obligations.limits]


def get(host: str, method: str = "GET") -> HttpRequest:
    return HttpRequest(method, "https", host, 443, "/", authority=host)


def test_what_is_written_is_what_is_counted(write: Write) -> None:
    policy = write(POLICY)
    sent = Limit("api", "sent", 50_000_000, 3600, "rule", "50MB/h", "p.yaml:11")
    assert sent in policy.limits
    found = {(each.rule, each.measure): each for each in policy.limits}
    assert (found["api", "requests"].amount, found["api", "requests"].seconds) == (100, 300)
    assert (found["", "names"].per, found["", "names"].name) == ("sandbox", "network.limits")
    assert (found["box", "received"].amount, found["box", "received"].seconds) == (2000, 30)
    assert ("box", "sent") not in found, "that is of one connection"
    terms = policy.ssh_terms("box")
    assert terms is not None
    assert (terms.limits.sessions, terms.limits.bytes) == (3, (5_000_000, None))
    assert Policy.parse(policy.dump()).limits == policy.limits


def test_the_limits_of_all_rules_that_allow_it_hold(write: Write) -> None:
    """What one rule limits, another does not free: order and names of rules never matter."""
    policy = write(POLICY)
    own = ["sent 50MB/h", "requests 100/5min", "received 1GB/d per host"]
    whole = "names 20/h per sandbox"
    assert limits(policy, get("api.test")) == [*own, "requests 9/min", whole]
    assert limits(policy, get("api.test", "POST")) == [*own, whole]
    assert limits(policy, get("other.test")) == ["requests 9/min", whole]
    assert limits(policy, get("other.test", "POST")) == [], "which is denied"
    database = Connect("db.test", 5432, protocol="unknown")
    assert limits(policy, database) == ["connections 3/s", whole]


def test_of_two_files_the_last_one_decides_the_same_limit_of_the_whole(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "parent.yaml").write_text(
        "version: 1\nname: a\nnetwork: {limits: {names: 5/h, sent: 1MB/h}}\n"
    )
    policy = write("extends: [parent.yaml]\nnetwork: {limits: {names: 9/h}}\n")
    assert sorted(map(str, policy.limits)) == [
        "names 9/h per sandbox", "sent 1MB/h per sandbox",
    ]  # fmt: skip


RULE = "network: {rules: [{name: a, allow: %s, hosts: [a.test], %s}]}"


@pytest.mark.parametrize(
    ("kind", "rule", "what"),
    [
        ("https", "limits: {}", "limits that limit nothing; write: limits: {sent: 50MB/h}"),
        ("https", "limits: []", "limits: [] does not fit"),
        ("https", "limits: {sent: 50MB}", "sent: 50MB names no time; write: sent: 50MB/h"),
        ("https", "limits: {sent: 50/h}", "'50/h' is not an amount in a time; write: 50MB/h"),
        ("https", "limits: {requests: 5MB/h}", "'5MB/h' is not a number in a time"),
        ("https", "limits: {requests: 0/h}", "'0/h' lets nothing through"),
        ("https", "limits: {requests: 5/0h}", "the time in '5/0h' is not from 1s to 31d"),
        ("https", "limits: {requests: 5/32d}", "the time in '5/32d' is not from 1s to 31d"),
        ("https", "limits: {names: 2000/h}", "'2000/h' is more than 1,000; write: 1000/h"),
        ("https", "limits: {names: 9/h, per: host}", "each host is one name"),
        ("https", "limits: {sessions: 3}", "sessions is for one connection of allow: ssh"),
        ("https", "limits: [{sent: 5B/h}, {sent: 6B/60m}]", "sent is limited twice within the"),
        ("https", "tls: passthrough, limits: {requests: 5/h}", "requests are counted only where"),
        ("ssh", "shell: true, limits: {sessions: 3, per: host}", "per is for what is limited"),
        ("ssh", "shell: true, limits: [{idle: 3s}, {idle: 4s}]", "idle of one connection stands"),
        ("ssh", "forwarding: trusted, limits: {sent: 5MB}", "forwarding: trusted nobody reads"),
    ],
)
def test_what_is_wrong_is_told(write: Write, kind: str, rule: str, what: str) -> None:
    with pytest.raises(PolicyError) as caught:
        write(RULE % (kind, rule))
    (problem,) = caught.value.problems
    assert what in str(problem)
    assert problem.line == 3


def test_limits_are_for_what_is_allowed(write: Write) -> None:
    rule = "{name: a, deny: any, hosts: [a.test], limits: {sent: 5B/h}}"
    with pytest.raises(PolicyError, match="limits are for what is allowed, and rule a denies"):
        write(f"network: {{rules: [{rule}]}}")
    with pytest.raises(PolicyError, match="limits of the whole network are no rule's"):
        write("network: {limits: {sent: 5B/h, per: rule}}")


def test_trusted_ssh_can_be_limited_within_a_time(write: Write) -> None:
    policy = write(RULE % ("ssh", "forwarding: trusted, limits: {sent: 5MB/h}"))
    assert limits(policy, Connect("a.test", 22, protocol="ssh")) == ["sent 5MB/h"]


def test_a_narrow_rule_with_limits_changes_something(write: Write) -> None:
    wide = "{name: wide, allow: https, hosts: ['*.test']}"
    narrow = "{name: narrow, allow: https, hosts: [a.test]%s}"
    with pytest.raises(PolicyError, match="rule narrow changes nothing"):
        write(f"network: {{rules: [{wide}, {narrow % ''}]}}")
    write(f"network: {{rules: [{wide}, {narrow % ', limits: {sent: 5MB/h}'}]}}")


def test_another_amount_is_a_difference_and_another_line_is_none(write: Write) -> None:
    policy = write(POLICY)
    assert differences(policy, write(f"# moved\n{POLICY}")) == ()
    (found,) = differences(policy, write(POLICY.replace("names: 20/h", "names: 30/h")))
    assert (found.part, found.terms[0].key) == ("network", "limits")


def test_cases_can_ask_for_limits(write: Write, tmp_path: Path) -> None:
    policy, file = write(POLICY), tmp_path / "p.test.yaml"
    file.write_text(
        "cases:\n"
        '  - {https: "GET https://x.test/", expect: allow,'
        " limits: [requests 9/min, names 20/h per sandbox]}\n"
        '  - {https: "GET https://x.test/", expect: allow, limits: [requests 9/min]}\n'
        '  - {ssh: "me@box.test", channel: shell, expect: allow, rule: box,'
        " limits: [received 2KB/30s per program, names 20/h per sandbox]}\n"
        '  - {https: "POST https://x.test/", expect: deny, limits: []}\n'
    )
    outcomes = list(run_cases(policy, file, CommandReader()))
    assert [each.right for each in outcomes] == [True, False, True, True]
    assert "under limits ['requests 9/min']" in str(outcomes[1])
