"""A placeholder may stand where a rule that allows the request sets its secret, and only there."""

from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.policy import Policy, load_policy
from firewall.requests import Carried, HttpRequest

POLICY = """
version: 1
name: test
guards: {secrets: GUARD}
network:
  rules:
    - name: api
      allow: https
      hosts: [api.test]
      requests: [{method: POST, path: "/v1/*"}]
      inject: {header: x-api-key, from: "env:KEY"}
    - name: plain
      allow: http
      hosts: [plain.test]
      inject: {query: key, from: "env:KEY"}
    - {name: all, allow: http, hosts: [api.test]}
    - name: git
      allow: https
      hosts: [git.test]
      inject: {basic: me, from: "file:/run/token", env: TOKEN}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "test.yaml").write_text(POLICY.replace("GUARD", "block"))
    return load_policy(tmp_path / "test.yaml")


def ask(url: str, *carries: str, name: str = "KEY") -> HttpRequest:
    method, _, rest = url.partition(" ")
    scheme, _, rest = rest.partition("://")
    host, slash, path = rest.partition("/")
    port, carried = (443, "https") if scheme == "https" else (80, "http")
    assert carried in ("https", "http")
    return HttpRequest(
        method,
        "https" if port == 443 else "http",
        host,
        port,
        slash + path,
        host,
        carries=tuple(Carried(name, each) for each in carries),
    )


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (ask("POST https://api.test/v1/a", "header x-api-key"), "api"),
        (ask("POST https://api.test/v1/a"), "api"),
        (ask("GET http://plain.test/", "query key"), "plain"),
        (ask("GET https://git.test/", "header authorization", name="TOKEN"), "git"),
    ],
)
def test_in_its_place_it_is_allowed(policy: Policy, request_: HttpRequest, rule: str) -> None:
    verdict = policy.decide(request_, Actor("test"))
    assert (verdict.allowed, verdict.obligations.inject) == (True, (rule,))
    assert policy.injections((rule,))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            ask("POST https://api.test/v2", "header x-api-key"),
            "rule api (test.yaml:7) sets it for POST /v1/* only",
        ),
        (
            ask("GET https://api.test/v1/a", "header x-api-key"),
            "rule api (test.yaml:7) sets it for POST /v1/* only",
        ),
        (
            ask("POST https://api.test/v1/a", "header x-api-key", "query q"),
            "the query q of POST /v1/a to api.test; rule api (test.yaml:7) sets it in the header",
        ),
        (
            ask("POST http://api.test/v1/a", "header x-api-key"),
            "sets it inside TLS only; write: allow: http, where it may travel in plain text",
        ),
        (ask("GET https://git.test/", "header authorization"), "no rule sets it for this host"),
        (ask("GET https://else.test/", "path"), "no rule sets it for this host"),
    ],
)
def test_elsewhere_it_is_a_critical_deny(
    policy: Policy, request_: HttpRequest, reason: str
) -> None:
    verdict = policy.decide(request_, Actor("test"))
    assert (verdict.action, verdict.rule, verdict.severity) == (
        "deny",
        "guards.secrets",
        "critical",
    )
    assert reason in verdict.reason
    assert "or let a rule set it (inject)" in verdict.remedy


def test_a_guard_that_only_alerts_leaves_it_to_the_rules(tmp_path: Path) -> None:
    (tmp_path / "test.yaml").write_text(POLICY.replace("GUARD", "alert"))
    policy = load_policy(tmp_path / "test.yaml")
    verdict = policy.decide(ask("POST https://api.test/v1/a", "query q"), Actor("test"))
    assert verdict.allowed
    assert verdict.severity == "warning"
    assert "guards.secrets is set to alert" in verdict.reason
