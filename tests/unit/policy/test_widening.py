"""What a refusal says to add to a rule's requests: it loads, lets this pass, and little besides."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firewall.actor import Actor
from firewall.policy import Policy
from firewall.requests import Act, Calls, HttpRequest

NOBODY = Actor(sandbox="test")

RULE = """
network:
  rules:
    - name: api
      allow: https
      hosts: [api.example, data.s3.example]
      requests:
        - {}
"""
BEFORE = {
    "path": '{method: GET, path: "/hello"}',
    "git": "{git: {does: fetch}}",
    "registry": "{registry: {does: pull, repositories: [library/*]}}",
    "npm": "{packages: {index: npm, does: download, names: [left], under: /npm}}",
    "s3": "{s3: {endpoint: s3.example, does: read}}",
}
ASKED = [
    ("path", "GET", "/large", '{method: GET, path: "/large"}'),
    ("path", "POST", "/hello?q=1", '{method: POST, path: "/hello"}'),
    ("path", "GET", "/a%20b", '{method: GET, path: "/a b"}'),
    ("path", "GET", '/a"b', '{method: GET, path: "/a\\"b"}'),
    ("path", "GET", "/a%3Fb%25*", '{method: GET, path: "/a*b*"}'),
    ("path", "GET", "/%C3%A9", '{method: GET, path: "/\\u00e9"}'),
    ("path", "GET", "/a/" + "b" * 300, '{method: GET, path: "/a/**"}'),
    ("git", "GET", "/o/r.git/info/refs?service=git-receive-pack",
     '{git: {does: "push", repositories: ["o/r"]}}'),
    ("git", "POST", "/o/r.git/git-receive-pack", '{git: {does: "push", repositories: ["o/r"]}}'),
    ("git", "GET", "/o/r.git/HEAD", '{method: GET, path: "/o/r.git/HEAD"}'),
    ("registry", "GET", "/v2/me/app/manifests/1",
     '{registry: {does: "pull", repositories: ["me/app"]}}'),
    ("registry", "POST", "/v2/me/app/blobs/uploads/?mount=sha256:0&from=library/a",
     '{registry: {repositories: ["me/app", "library/a"]}}'),
    ("npm", "GET", "/npm/@types%2fnode",
     '{packages: {index: "npm", under: "/npm", does: "download", names: ["@types/node"]}}'),
    ("s3", "PUT", "/data/train/a[1]",
     '{"s3": {endpoint: "s3.example", does: "write", buckets: ["data"], keys: ["train/a[[]1]"]}}'),
]  # fmt: skip


def https(method: str, host: str, path: str) -> HttpRequest:
    return HttpRequest(method, "https", host, 443, path, host, host)


def added(rules: Policy, asked: HttpRequest) -> str:
    verdict = rules.decide(asked, NOBODY)
    assert verdict.action == "deny"
    assert verdict.remedy.startswith("add {"), verdict
    return verdict.remedy.removeprefix("add ").partition(" to requests of rule api")[0]


@pytest.mark.parametrize(("before", "method", "path", "entry"), ASKED)
def test_the_entry_says_what_was_asked_and_lets_it_pass(
    policy: Callable[[str], Policy], before: str, method: str, path: str, entry: str
) -> None:
    host = "s3.example" if before == "s3" else "api.example"
    rule = RULE.replace("data.s3.example", "s3.example").replace("{}", BEFORE[before])
    asked = https(method, host, path)
    assert added(policy(rule), asked) == entry
    mended = policy(f"{rule.rstrip()}\n        - {entry}\n")
    assert mended.decide(asked, NOBODY).allowed
    assert not mended.decide(https("DELETE", host, "/elsewhere"), NOBODY).allowed


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300))
def test_any_path_that_can_be_allowed_is(policy: Callable[[str], Policy], path: str) -> None:
    rule = RULE.replace("{}", "{method: PUT, path: /}")
    asked = https("GET", "api.example", "/" + path)
    remedy = policy(rule).decide(asked, NOBODY).remedy
    if remedy.startswith("add {"):
        entry = remedy.removeprefix("add ").partition(" to requests of rule api")[0]
        assert policy(rule.replace("{method: PUT, path: /}", entry)).decide(asked, NOBODY).allowed
    else:
        assert remedy == "send the path plainly, as the server is to read it"


def test_what_a_body_asks_is_said_in_its_terms(policy: Callable[[str], Policy]) -> None:
    rule = RULE.replace("{}", "{path: /rpc, json-rpc: {methods: [eth_call]}}")
    asked = https("POST", "api.example", "/rpc")
    sent = replace(asked, calls=Calls(rpc=(Act("eth_send", ""),)))
    entry = added(policy(rule), sent)
    assert entry == '{method: POST, path: "/rpc", json-rpc: {methods: ["eth_send"]}}'
    assert policy(f"{rule.rstrip()}\n        - {entry}\n").decide(sent, NOBODY).allowed
    unread = replace(asked, calls=Calls(unread="it is no JSON"))
    remedy = policy(rule).decide(unread, NOBODY).remedy
    assert remedy.startswith("if this was right, add what allows it to requests of rule api")


def test_another_port_takes_none_from_the_rule(policy: Callable[[str], Policy]) -> None:
    rule = RULE.replace("{}", "{method: GET}")
    asked = replace(https("GET", "api.example", "/"), port=8443)
    remedy = policy(rule).decide(asked, NOBODY).remedy
    assert remedy == "write ports: [443, 8443] in rule api (test.yaml:6)"
    mended = policy(rule.replace("      requests:", "      ports: [443, 8443]\n      requests:"))
    assert mended.decide(asked, NOBODY).allowed
    assert mended.decide(https("GET", "api.example", "/"), NOBODY).allowed
