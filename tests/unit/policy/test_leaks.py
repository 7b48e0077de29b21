"""What policies say of secrets that leave: formats, homes, files, and rules that excuse them."""

from dataclasses import replace
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.keyformats import ENTROPY, NAMES
from firewall.policy import Policy, load_policy
from firewall.policy.secrets import watched
from firewall.requests import Confidence, Finding, HttpRequest, Message, Request, SshChannel
from firewall.verdict import Severity

ACTOR = Actor("test")
POLICY = """
version: 1
name: test
extends: [{base}]
network:
  rules:
    - {{name: api, allow: https, hosts: [a.test]}}
    - {{name: safe, allow: https, hosts: [safe.test], requests: [{{path: "/v1/**"}}],
       secrets: allow, reason: the secret manager}}
    - {{name: box, allow: ssh, hosts: [safe.test], commands: ["store *"], secrets: allow,
       reason: the same}}
{more}
"""


def policy(folder: Path, more: str = "", base: str = "base") -> Policy:
    path = folder / f"p{len(list(folder.iterdir()))}.yaml"
    path.write_text(POLICY.format(more=more, base=base))
    return load_policy(path)


def leak(
    name: str = "github", confidence: Confidence = "certain", where: str = "header authorization"
) -> Finding:
    return Finding("secret", name, "a key", where, confidence)


def asked(host: str, path: str = "/", *found: Finding) -> HttpRequest:
    return HttpRequest("POST", "https", host, 443, path, host, host, findings=found)


@pytest.mark.parametrize(
    ("confidence", "allowed", "severity"),
    [
        ("certain", False, Severity.CRITICAL),
        ("likely", False, Severity.WARNING),
        ("suspicious", True, Severity.WARNING),
    ],
)
def test_the_surer_the_graver(
    confidence: Confidence, allowed: bool, severity: Severity, tmp_path: Path
) -> None:
    verdict = policy(tmp_path).decide(asked("a.test", "/", leak(confidence=confidence)), ACTOR)
    assert (verdict.allowed, verdict.severity) == (allowed, severity)
    assert f"github: a key (header authorization; {confidence})" in verdict.reason


def test_a_refusal_says_how_to_allow_it(tmp_path: Path) -> None:
    verdict = policy(tmp_path).decide(asked("a.test", "/", leak()), ACTOR)
    assert verdict.rule == "guards.secrets"
    for way in ("homes: {github: [a.test]}", "except: [github]", "secrets: allow and a reason"):
        assert way in verdict.remedy
    body = policy(tmp_path).decide(asked("a.test", "/", leak(where="http body, sent")), ACTOR)
    assert "homes" not in body.remedy


EXCUSED = asked("safe.test", "/v1/keys")
CASES: list[tuple[Request, bool]] = [
    (replace(EXCUSED, findings=(leak(), leak("marked-file"))), True),
    (asked("safe.test", "/other", leak()), False),
    (Message("safe.test", 443, "http body", "sent", (leak(),), EXCUSED), True),
    (Message("safe.test", 443, "http body", "sent", (leak(),), asked("safe.test", "/x")), False),
    (Message("a.test", 443, "websocket", "sent", (leak(),), asked("a.test")), False),
    (Message("safe.test", 443, "tcp stream", "sent", (leak(),)), False),
    (SshChannel("safe.test", 22, "me", "exec", "store x", (leak(),)), True),
    (replace(EXCUSED, findings=(leak("value"),)), False),
    (replace(EXCUSED, findings=(leak("placeholder"),)), False),
    (replace(EXCUSED, findings=(leak(), Finding("mining", "stratum", "x", "y"))), False),
]


@pytest.mark.parametrize(("request_", "passes"), CASES, ids=range(len(CASES)))
def test_a_rule_excuses_secrets_in_what_it_allows(
    request_: Request, passes: bool, tmp_path: Path
) -> None:
    verdict = policy(tmp_path).decide(request_, ACTOR)
    assert verdict.allowed == passes, verdict.reason
    if not passes:
        assert verdict.rule in ("guards.secrets", "guards.mining")


@pytest.mark.parametrize(
    ("host", "path", "method", "passes"),
    [
        ("ghcr.io", "/token", "POST", True),
        ("ghcr.io", "/token?service=ghcr.io", "POST", True),
        ("ghcr.io", "/v2/me/app/blobs/uploads/", "POST", False),
        ("ghcr.io", "/token", "PUT", False),
        ("a.test", "/token", "POST", False),
    ],
)
def test_a_registry_may_be_given_its_password_for_a_token(
    host: str, path: str, method: str, passes: bool, tmp_path: Path
) -> None:
    """BuildKit and containerd send it in the body, as Docker's OAuth2 endpoint wants it."""
    body = replace(asked(host, path), method=method)
    message = Message(host, 443, "http body", "sent", (leak(where="http body, sent"),), body)
    verdict = policy(tmp_path).decide(message, ACTOR)
    assert verdict.allowed == passes, verdict.reason
    assert passes or verdict.rule == "guards.secrets"
    clear = replace(message, request=replace(body, scheme="http"))
    assert not policy(tmp_path).decide(clear, ACTOR).allowed


def test_homes_of_a_policy_exchange_keys_as_well(tmp_path: Path) -> None:
    more = "secrets: {homes: {gitlab: [git.corp.test]}}"
    body = asked("git.corp.test", "/jwt/auth")
    message = Message("git.corp.test", 443, "http body", "sent", (leak("gitlab"),), body)
    assert policy(tmp_path, more).decide(message, ACTOR).allowed
    assert not policy(tmp_path).decide(message, ACTOR).allowed


def test_alert_only_records(tmp_path: Path) -> None:
    loose = policy(tmp_path, "guards: {secrets: alert}")
    verdict = loose.decide(asked("a.test", "/", leak()), ACTOR)
    assert verdict.allowed
    assert "guards.secrets is set to alert" in verdict.reason


def test_sections_of_all_files_add_up_and_the_last_decides_on_formats(tmp_path: Path) -> None:
    below = "secrets: {files: [.env], except: [jwt], homes: {gitlab: [git.a.test]}, entropy: warn}"
    policy(tmp_path, below)
    above = "secrets: {files: ['~/.ssh/id_*'], homes: {gitlab: ['*.b.test']}, except: [google]}"
    path = tmp_path / "top.yaml"
    path.write_text(f"version: 1\nname: top\nextends: [p0.yaml]\n{above}\n")
    found = load_policy(path).watched
    assert found.files == (".env", "~/.ssh/id_*")
    assert found.homes["gitlab"] == ("git.a.test", "*.b.test")
    assert set(found.formats) == {*NAMES, ENTROPY} - {"google"}


def test_what_is_looked_for_is_part_of_the_digest_and_travels(tmp_path: Path) -> None:
    plain, other = policy(tmp_path), policy(tmp_path, "secrets: {formats: [github]}")
    assert plain.digest != other.digest
    assert Policy.parse(other.dump()).watched == other.watched
    assert other.watched.formats == ("github",)
    assert policy(tmp_path, "secrets: {formats: []}").watched.formats == ()


def test_tokens_are_at_home_where_package_tools_download() -> None:
    found = watched([], [("pip", "index.test"), ("apt", "mirror.test")])
    assert found.homes == {"pypi": ("index.test", "*.index.test")}
