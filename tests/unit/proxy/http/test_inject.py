"""Secrets stand where the rule says, whatever the client has put there."""

import base64
from collections.abc import Mapping

import pytest
from mitmproxy.http import Request

from firewall.credentials import Injection, Secret
from firewall.held import Held
from firewall.proxy.http.inject import AwsSigning, inject
from firewall.requests import HttpRequest
from firewall.vault import Vault
from firewall.verdict import Action, Obligations, Verdict
from tests.unit.proxy.http.stage import ALLOW, Stage, answering

KEY = Secret("env:KEY", "KEY")
HELD = Held(KEY, "placeholder0011", "real value/+", "")
VAULT = Vault([HELD])


def request(path: str = "/a", **headers: str) -> Request:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request.make("GET", f"https://good.test{path}", headers=fields)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("scheme", "sent", "arrives"),
    [
        ("", {}, "real value/+"),
        ("Bearer", {}, "Bearer real value/+"),
        ("Bearer", {"authorization": "placeholder0011"}, "real value/+"),
        ("Bearer", {"Authorization": "token placeholder0011"}, "token real value/+"),
        ("Bearer", {"authorization": "Bearer of-the-agent"}, "Bearer real value/+"),
        ("Bearer", {"authorization": basic("me:placeholder0011")}, basic("me:real value/+")),
        ("Bearer", {"authorization": "Basic no-base64"}, "Bearer real value/+"),
    ],
)
def test_a_header_is_set(scheme: str, sent: Mapping[str, str], arrives: str) -> None:
    asked = request(**sent)
    assert inject(asked, [Injection("header", (KEY,), "Authorization", scheme)], VAULT) is None
    assert asked.headers.get_all("authorization") == [arrives]


def test_of_two_headers_one_is_left() -> None:
    asked = request()
    asked.headers.fields = ((b"X-Key", b"placeholder0011"), (b"x-key", b"of-the-agent"))
    inject(asked, [Injection("header", (KEY,), "x-key")], VAULT)
    assert asked.headers.get_all("x-key") == ["real value/+"]


def test_a_header_that_some_servers_take_for_the_same_is_gone() -> None:
    asked = request()
    asked.headers.fields = ((b"X_Key", b"of-the-agent"), (b"x-keys", b"another"))
    inject(asked, [Injection("header", (KEY,), "x-key")], VAULT)
    assert asked.headers.fields == ((b"x-keys", b"another"), (b"x-key", b"real value/+"))


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("gzip;q=1.0, br, compress, dcb", "gzip;q=1.0, br"),
        ("GZIP, deflate, zstd, identity;q=0", "GZIP, deflate, zstd, identity;q=0"),
        ("*", "identity"),
        ("xz", "identity"),
    ],
)
def test_an_answer_is_asked_for_in_codings_that_can_be_read(asked: str, left: str) -> None:
    request_ = request(accept_encoding=asked)
    inject(request_, [Injection("header", (KEY,), "x-key")], VAULT)
    assert request_.headers["accept-encoding"] == left


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/a", "/a?key=real%20value%2F%2B"),
        ("/a?b=1&key=placeholder0011&c", "/a?b=1&c&key=real%20value%2F%2B"),
        ("/a?key=1&key=2", "/a?key=real%20value%2F%2B"),
        ("/a?k%65y=1&b=1;key=2;c&KEY=3", "/a?b=1;c&KEY=3&key=real%20value%2F%2B"),
    ],
)
def test_a_query_parameter_is_set_once(path: str, arrives: str) -> None:
    asked = request(path)
    inject(asked, [Injection("query", (KEY,), "key")], VAULT)
    assert asked.path == arrives


def test_basic_authentication_is_set() -> None:
    asked = request(authorization=basic("me:placeholder0011"))
    inject(asked, [Injection("basic", (KEY,), "x-access-token")], VAULT)
    assert asked.headers["authorization"] == basic("x-access-token:real value/+")


def test_a_request_that_is_not_signed_by_the_placeholders_stays_as_it_is() -> None:
    asked = request(authorization="Bearer x")
    secrets = (KEY, Secret("env:B", "B"))
    vault = Vault([HELD, Held(secrets[1], "placeholder0022", "another value", "")])
    signing = inject(asked, [Injection("aws", secrets)], vault)
    assert isinstance(signing, AwsSigning)
    assert signing.needs_body
    (finding,) = signing.sign(b"")
    assert (finding.kind, finding.confidence) == ("protocol-mismatch", "likely")
    assert "is not signed as AWS4-HMAC-SHA256" in finding.evidence
    assert asked.headers["authorization"] == "Bearer x"


def test_on_the_way_the_secret_goes_to_the_server_and_not_into_the_records() -> None:
    def decide(asked: object) -> Verdict:
        if not isinstance(asked, HttpRequest):
            return ALLOW
        return Verdict(Action.ALLOW, "api", "it may", obligations=Obligations(inject=("api",)))

    with Stage(decide) as stage:
        injections = (Injection("header", (KEY,), "x-key"), Injection("query", (KEY,), "key"))
        stage.policy.injections = lambda _: injections  # type: ignore[attr-defined]
        stage.interceptor.egress.judge.vault = VAULT
        server = stage.upstream(answering())
        answer = stage.ask(stage.door(server.port), path="/a", headers={"x-key": "mine"})
        assert answer.status_code == 200
        assert b"x-key: real value/+\r\n" in bytes(server.received).lower()
        assert b"GET /a?key=real%20value%2F%2B HTTP/1.1" in server.received
        assert "real" not in str(stage.log.events)
