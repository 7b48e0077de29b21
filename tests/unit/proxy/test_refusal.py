"""Refusals say which rule, why and what to write, and reflect nothing dangerous."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.proxy.refusal import TEXT_LIMIT, UNREACHABLE, failure, page, plain, sentence
from firewall.requests import Connect, HttpRequest, SshChannel
from firewall.verdict import Action, Verdict

DENY = Verdict(
    Action.DENY,
    "default",
    "no rule allows this host",
    remedy="add <host> to network.rules",
    source="coding-agent.yaml:12",
)
ASKED = HttpRequest("POST", "https", "x.test", 443, "/a?<b>", "x.test")


def test_the_sentence() -> None:
    assert sentence(DENY) == (
        "Blocked by the firewall: no rule allows this host (rule: default). "
        "To allow it: add <host> to network.rules"
    )


def test_a_server_that_cannot_be_reached_is_no_block() -> None:
    verdict = Verdict(Action.DENY, UNREACHABLE, "the name x.test cannot be resolved")
    assert sentence(verdict) == (
        "The firewall could not reach the server: the name x.test cannot be resolved"
    )


def test_the_text_page() -> None:
    kind, body = page(DENY, ASKED, "*/*")
    assert kind == "text/plain; charset=utf-8"
    assert body.decode() == (
        "Blocked by the firewall\n\n"
        "  POST https://x.test/a?<b>\n"
        "  rule: default\n"
        "  why: no rule allows this host\n"
        "  to allow it: add <host> to network.rules\n"
        "  policy: coding-agent.yaml:12\n"
    )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("application/json, */*", "text/plain"),
        ("application/json", "application/json"),
        ("application/vnd.api+json;q=0.9, application/json", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
    ],
)
def test_the_kind_follows_accept(accept: str, kind: str) -> None:
    assert page(DENY, ASKED, accept)[0].split(";")[0] == kind


def test_json_says_it_where_clients_look() -> None:
    error = json.loads(page(DENY, ASKED, "application/json")[1])["error"]
    assert error["message"] == "Blocked by the firewall: no rule allows this host"
    assert (error["rule"], error["to allow it"]) == ("default", "add <host> to network.rules")


def test_html_is_escaped() -> None:
    body = page(DENY, ASKED, "text/html")[1].decode()
    assert "/a?&lt;b&gt;" in body
    assert "<b>" not in body
    assert "add &lt;host&gt;" in body


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        (Connect("2001:db8::1", 22, protocol="ssh"), "ssh to [2001:db8::1]:22"),
        (HttpRequest("GET", "http", "x.test", 8080, "/", "x.test"), "GET http://x.test:8080/"),
        (SshChannel("x.test", 22, "git", "shell"), "SshChannel"),
    ],
)
def test_what_was_asked(request_: Connect, shown: str) -> None:
    assert f"  {shown}\n" in page(DENY, request_, "")[1].decode()


def test_a_failure_has_no_rule() -> None:
    text = failure("connection refused", None, "")[1].decode()
    assert text == "The firewall could not reach the server\n\n  why: connection refused\n"


@given(st.text())
def test_nothing_shown_breaks_a_line(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= TEXT_LIMIT + 3
