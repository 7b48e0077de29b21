"""What mitmproxy read becomes what is judged, and two readings of it become none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.connection import Client, Server
from mitmproxy.http import HTTPFlow, Request

from firewall.proxy.http.asking import name_of, port_of
from firewall.proxy.http.describing import MalformedError, describe, prepare
from firewall.proxy.http.flow import Flow
from firewall.vault import Vault

HERE = Flow("intercept", host="good.test", port=443)


def exchange(**changes: object) -> HTTPFlow:
    request = Request.make("GET", "https://good.test/a", headers=[(b"Host", b"good.test")])
    for name, value in changes.items():
        setattr(request.data, name, value)
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    flow = HTTPFlow(client, Server(address=("192.0.2.1", 443)))
    flow.request = request
    return flow


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("good.test", "good.test"),
        ("Good.Test.:443", "good.test"),
        ("good.test:", "good.test"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("good.test:80@evil.test", "good.test:80@evil.test"),
        ("good.test\x85", "good.test\x85"),
        ("", ""),
    ],
)
def test_the_name_in_an_authority(authority: str, name: str) -> None:
    assert name_of(authority) == name


@pytest.mark.parametrize(
    ("authority", "port"),
    [
        ("good.test", None),
        ("good.test:", None),
        ("good.test:443", 443),
        ("[2001:db8::1]:8443", 8443),
        ("[2001:db8::1]", None),
        ("2001:db8::1", None),
        ("good.test:0443", 443),
        ("good.test:\u0664", None),
    ],
)
def test_the_port_in_an_authority(authority: str, port: int | None) -> None:
    assert port_of(authority) == port


@given(st.text())
def test_any_authority_has_a_name_and_perhaps_a_port(authority: str) -> None:
    port = port_of(authority)
    assert port is None or port >= 0
    assert isinstance(name_of(authority), str)


def test_of_two_stated_ports_the_odd_one_is_judged() -> None:
    flow = exchange()
    assert describe(flow, HERE, Vault()).authority_port is None
    flow.request.headers.fields = ((b"Host", b"good.test:443"), (b"Host", b"good.test:9999"))
    assert describe(flow, HERE, Vault()).authority_port == 9999


@given(st.text(st.characters(codec="ascii")))
def test_case_does_not_matter_to_any_authority(authority: str) -> None:
    assert name_of(authority) == name_of(authority.swapcase())


def test_a_request_is_described_by_its_destination_not_by_its_host_header() -> None:
    flow = exchange()
    flow.request.headers["host"] = "evil.test"
    asked = describe(flow, HERE, Vault())
    assert (asked.host, asked.port, asked.authority) == ("good.test", 443, "evil.test")


@pytest.mark.parametrize(("version", "authority"), [(b"HTTP/1.0", "good.test"), (b"HTTP/1.1", "")])
def test_only_http_1_0_may_leave_out_the_host(version: bytes, authority: str) -> None:
    flow = exchange(http_version=version)
    del flow.request.headers["host"]
    flow.request.authority = ""
    assert describe(flow, HERE, Vault()).authority == authority


@pytest.mark.parametrize(
    ("headers", "copies"),
    [
        ([], ""),
        ([(b"X-Amz-Copy-Source", b"/b/k")], "/b/k"),
        ([(b"x-oss-copy-source", b"b/k")], "b/k"),
        ([(b"x-amz-copy-source", b"b/k"), (b"X-Amz-Copy-Source", b"c/k")], "?"),
        ([(b"x-amz-copy-source-range", b"bytes=0-9")], ""),
    ],
)
def test_the_source_of_a_copy_is_described(headers: list[tuple[bytes, bytes]], copies: str) -> None:
    flow = exchange()
    flow.request.headers.fields += tuple(headers)
    assert describe(flow, HERE, Vault()).copies == copies


def test_what_overrides_a_request_is_described() -> None:
    flow = exchange()
    flow.request.headers["X-HTTP-Method-Override"] = "DELETE"
    flow.request.headers["X-Original-URL"] = "/b"
    asked = describe(flow, HERE, Vault())
    assert (asked.method, asked.path, asked.findings) == ("GET", "/a", ())
    assert [(each.method, each.path) for each in asked.overrides] == [("DELETE", ""), ("", "/b")]
    for number in range(4):
        flow.request.headers.add("X-Rewrite-URL", f"/{number}")
    assert [each.kind for each in describe(flow, HERE, Vault()).findings] == ["protocol-mismatch"]


def test_a_method_is_described_as_it_is_sent() -> None:
    """RFC 9110, 9.1: methods are case-sensitive; what allows GET does not allow get."""
    assert describe(exchange(method=b"get"), HERE, Vault()).method == "get"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": b"GE T"}, "method"),
        ({"path": b"/a b"}, "request target"),
        ({"path": b"/a\r\nX: b"}, "request target"),
    ],
)
def test_what_could_be_read_twice_is_refused(changes: dict[str, bytes], why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        describe(exchange(**changes), HERE, Vault())


@pytest.mark.parametrize(
    ("name", "value"), [(b"X", b"a\rb"), (b"X", b"a\nb"), (b"X", b"\0"), (b"X Y", b"a")]
)
def test_headers_that_could_be_read_twice_are_refused(name: bytes, value: bytes) -> None:
    flow = exchange()
    flow.request.headers.fields += ((name, value),)
    with pytest.raises(MalformedError, match="header"):
        describe(flow, HERE, Vault())


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"\x0bchunked"])
def test_a_body_in_a_coding_that_is_not_read_is_refused(coding: bytes) -> None:
    flow = exchange()
    flow.request.headers.fields += ((b"Transfer-Encoding", coding),)
    with pytest.raises(MalformedError, match="only chunked is read"):
        describe(flow, HERE, Vault())


def test_other_upgrades_are_declined_and_websocket_is_kept() -> None:
    flow = exchange()
    flow.request.headers["Connection"] = "Upgrade, HTTP2-Settings, close, X-Api-Key"
    flow.request.headers["Upgrade"] = "h2c"
    flow.request.headers["HTTP2-Settings"] = "AAMAAABkAAQAAP__"
    assert describe(flow, HERE, Vault()).upgrade == "h2c"
    prepare(flow, HERE)
    assert flow.request.headers["connection"] == "close"
    assert "upgrade" not in flow.request.headers
    assert "http2-settings" not in flow.request.headers

    flow = exchange()
    flow.request.headers["Connection"] = "Upgrade, X-Api-Key"
    flow.request.headers["Upgrade"] = "WebSocket"
    prepare(flow, HERE)
    assert flow.request.headers["connection"] == "Upgrade"
    assert flow.request.headers["upgrade"] == "WebSocket"
