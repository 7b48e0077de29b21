"""The firewall's own answers: 403 for a block, 502 for trouble, each as its client can show it."""

from dataclasses import replace

import pytest
from mitmproxy import http

from firewall.proxy.http.pages import RULE_HEADER
from firewall.proxy.http.refuse import refusal
from firewall.proxy.refusal import UNREACHABLE
from firewall.verdict import Action, Verdict

BLOCK = Verdict(Action.DENY, "default", "no rule allows x.test", remedy="add x.test")
NOWHERE = Verdict(Action.DENY, UNREACHABLE, "the name x.test cannot be resolved")


def _request(method: str = "GET", **headers: str) -> http.Request:
    request = http.Request.make(
        method,
        "https://x.test/",
        headers=http.Headers([(name.encode(), value.encode()) for name, value in headers.items()]),
    )
    request.http_version = "HTTP/2.0"
    return request


def test_a_block_is_a_403_that_names_its_rule() -> None:
    response = refusal(_request(), BLOCK, None)
    assert response.status_code == 403
    assert response.headers[RULE_HEADER] == "default"
    assert "no rule allows x.test" in (response.text or "")


def test_the_reason_phrase_tells_it_to_clients_that_show_no_body() -> None:
    verdict = replace(BLOCK, reason="no rule allows \u00fc.test\r\nX: y")
    assert refusal(_request(), verdict, None).reason == (
        "Blocked by the firewall: no rule allows ?.test??X: y (rule: default)."
        " To allow it: add x.test"
    )
    assert refusal(_request(), NOWHERE, None).reason == (
        "The firewall could not reach the server: the name x.test cannot be resolved"
    )


def test_an_allowed_name_that_leads_nowhere_is_a_502_and_no_block() -> None:
    response = refusal(_request(), NOWHERE, None)
    assert response.status_code == 502
    assert RULE_HEADER not in response.headers
    assert (response.text or "").startswith("The firewall could not reach the server")
    assert "the name x.test cannot be resolved" in (response.text or "")


@pytest.mark.parametrize(("verdict", "status"), [(BLOCK, "7"), (NOWHERE, "14")])
def test_grpc_is_told_by_its_own_status(verdict: Verdict, status: str) -> None:
    response = refusal(_request("POST", **{"content-type": "application/grpc"}), verdict, None)
    assert response.status_code == 200
    assert response.headers["grpc-status"] == status
    assert verdict.reason in response.headers["grpc-message"]


def test_head_gets_no_body() -> None:
    assert refusal(_request("HEAD"), BLOCK, None).content == b""
