"""Secrets are read where the policy says, and found wherever they must not be."""

import json
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.credentials import Secret
from firewall.held import Held
from firewall.policy import PolicyError, load_policy
from firewall.redaction import Terms
from firewall.requests import Carried, Connect, HttpRequest, Resolve, SshChannel
from firewall.vault import Vault

VALUE = "real-secret-0123456789"
KEY = Secret("env:KEY", "KEY", "sk-", "agent.yaml:7")
HELD = Vault([Held(KEY, "sk-placeholder00112233", VALUE, "")])
ACTOR = Actor("test")


def test_each_source_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", VALUE)
    (tmp_path / "token").write_text("of-a-file-123\n")
    file, command = Secret(f"file:{tmp_path}/token"), Secret("command:printf 'of a command'")
    vault = Vault.of([KEY, file, command]).read()
    assert [vault[each.name].value for each in (KEY, file, command)] == [
        VALUE,
        "of-a-file-123",
        "of a command",
    ]
    vault.must_be_whole()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("env:NOT_SET", "the variable NOT_SET is not set where the firewall runs"),
        ("file:/nowhere/token", "No such file or directory"),
        ("command:false", "false ended with status 1"),
        ("command:/nowhere/program", "No such file or directory"),
        ("command:sh -c 'echo tell-nobody >&2; exit 3'", "sh ended with status 3"),
        ("command:printf short", "it has fewer than 8 characters"),
        (r"command:printf 'two\nlines-of-text'", "it is not one line of plain text"),
        ("command:head -c 9000 /dev/zero", "it has more than 8192 bytes"),
    ],
)
def test_what_cannot_be_read_says_why_and_where(source: str, why: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Vault.of([Secret(source, where="agent.yaml:7")]).read().must_be_whole()
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("agent.yaml", 7)
    assert why in problem.what
    assert "tell-nobody" not in str(problem)


def test_reading_again_keeps_placeholders_and_runs_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", VALUE)
    kept, late = Secret("command:printf first-value", "KEPT"), Secret("command:true", "LATE")
    before = Vault.of([KEY, kept]).read()
    monkeypatch.setenv("KEY", "another-value")
    after = before.renewed([KEY, kept, late])
    assert after.placeholders["KEY"] == before.placeholders["KEY"]
    assert [after["KEY"].value, after["KEPT"].value] == ["another-value", "first-value"]
    assert after["LATE"].why == "no command runs once the agent does; start the firewall anew"
    monkeypatch.delenv("KEY")
    assert "the variable KEY is not set" in after.renewed([KEY]).troubles[0]


def test_the_value_that_was_before_is_looked_for_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may know it for a while, and tell it."""
    monkeypatch.setenv("KEY", VALUE)
    vault = Vault.of([KEY]).read()
    monkeypatch.setenv("KEY", "another-value")
    for _ in range(2):
        vault = Vault.parse(json.loads(json.dumps(vault.renewed([KEY]).dump())))
    monkeypatch.delenv("KEY")
    told = VALUE.encode() + b" another-value"
    for each in (vault, vault.renewed([KEY])):
        found = [finding.evidence for finding in each.fields([(b"X", told)])]
        assert found[0] == "that of KEY, as it was, itself"
    assert VALUE in vault.redaction(Terms()).literals
    assert [each.evidence for each in vault.fields([(b"X", told)])][1] == "that of KEY itself"


def test_placeholders_are_new_each_time_and_look_as_they_should() -> None:
    keys = [Vault.of([KEY]).placeholders["KEY"] for _ in range(2)]
    assert keys[0] != keys[1]
    assert all(each.startswith("sk-placeholder") for each in keys)
    aws = Vault.of([Secret("env:A", "AWS_ACCESS_KEY_ID", "AKIA")]).placeholders
    assert len(aws["AWS_ACCESS_KEY_ID"]) == 20


def test_no_text_of_it_shows_a_value() -> None:
    assert VALUE not in repr(HELD["KEY"]) + repr(HELD.redaction(Terms()))


def test_it_travels_to_another_process_of_ours() -> None:
    again = Vault.parse(json.loads(json.dumps(HELD.dump())))
    assert again["KEY"] == HELD["KEY"]


@pytest.mark.parametrize(
    ("request_", "name", "where"),
    [
        (Resolve("sk-placeholder00112233.evil.test", "A"), "placeholder", "DNS name"),
        (Resolve("REAL-secret-01234.56789.evil.test", "A"), "value", "DNS name"),
        (Connect("sk-placeholder00112233.test", 443), "placeholder", "host's name"),
        (Connect("a.test", 443, sni=f"{VALUE}.test"), "value", "host's name"),
        (SshChannel("h", 22, "u", "exec", f"echo {VALUE}"), "value", "SSH exec"),
        (SshChannel("h", 22, "u", "env", "sk-placeholder00112233"), "placeholder", "SSH env"),
        (HttpRequest("GET", "https", "h", 443, f"/a?b={VALUE}", "h"), "value", "request's target"),
    ],
)
def test_a_request_that_tells_one_has_a_finding(request_: Resolve, name: str, where: str) -> None:
    seen = HELD.seen(request_)
    assert [(each.kind, each.name, each.where) for each in seen.findings] == [
        ("secret", name, where)
    ]
    assert HELD.seen(seen) == seen, "it is told once"
    assert Vault().seen(request_) is request_


def test_placeholders_in_a_head_are_told_with_their_place() -> None:
    fields = [(b"X-Api-Key", b"sk-placeholder00112233"), (b"sk-placeholder00112233", b"x")]
    found = HELD.carried("GET", "/p/sk-placeholder00112233?q=sk-placeholder00112233", fields)
    assert set(found) == {
        Carried("KEY", "header x-api-key"),
        Carried("KEY", "header name"),
        Carried("KEY", "path"),
        Carried("KEY", "query q"),
    }
    assert HELD.carried("sk-placeholder00112233", "/", ()) == (Carried("KEY", "method"),)
    basic = b"Basic dXNlcjpzay1wbGFjZWhvbGRlcjAwMTEyMjMz"
    assert HELD.carried("GET", "/", [(b"Authorization", basic)]) == (
        Carried("KEY", "header authorization"),
    )


def test_a_stream_may_hold_neither_and_an_answer_no_value() -> None:
    both = b"sk-placeholder00112233 " + VALUE.encode()
    assert [each.name for each in HELD.stream("b", "sent").feed(both)] == ["value", "placeholder"]
    assert [each.name for each in HELD.stream("b", "received").feed(both)] == ["value"]
    assert [each.where for each in HELD.fields([(b"Location", both)])] == ["header location"]


POLICY = """
version: 1
name: test
network:
  rules:
    - name: api
      allow: https
      hosts: [api.test]
      requests: [{method: POST, path: /v1}]
      inject: {header: x-api-key, from: "env:KEY"}
"""


def test_an_allow_that_needs_what_cannot_be_read_is_a_deny(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "agent.yaml")
    asked = HttpRequest("POST", "https", "api.test", 443, "/v1", "api.test")
    verdict = policy.decide(asked, ACTOR)
    assert verdict.obligations.inject == ("api",)
    assert HELD.honour(verdict, policy) is verdict
    denied = Vault.of(policy.secrets).honour(verdict, policy)
    assert (denied.action, denied.rule) == ("deny", "api")
    assert "rule api needs a secret: the secret env:KEY cannot be read" in denied.reason
    assert "agent.yaml:6" in denied.reason
    elsewhere = Vault().honour(verdict, policy)
    assert (elsewhere.action, elsewhere.severity) == ("deny", "warning")
    assert "only firewall run and firewall serve hold secrets" in elsewhere.reason
