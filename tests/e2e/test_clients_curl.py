"""curl through the sandbox: what is allowed arrives, what is not explains itself."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.clients import Step, Steps, opened, public_folder, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, Nginx, RawServer, free_port
from tests.e2e.upstreams import Web

pytestmark = needs("curl", "nginx")

POLICY = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1, six.test: "::1", wrong.test: 127.0.0.1, git.test: 127.0.0.1,
    down.test: 127.0.0.1, raw.test: 127.0.0.1}
  rules:
    - name: web
      allow: https
      hosts: [origin.test, six.test]
      ports: [{https}]
      addresses: [127.0.0.1/32, "::1/128"]
      requests: [{method: GET, path: /hello}, {method: GET, path: /large}, {method: HEAD}]
    - name: plain
      allow: http
      hosts: [origin.test, six.test]
      ports: [{http}]
      addresses: [127.0.0.1/32, "::1/128"]
      requests: [{method: GET, path: /hello}, {method: GET, path: /large}, {method: HEAD}]
    - {name: uploads, allow: https, hosts: [raw.test], ports: [{sink}], methods: [PUT, POST],
       addresses: [127.0.0.1/32]}
    - {name: hints, allow: http, hosts: [raw.test], ports: [{hints}], addresses: [127.0.0.1/32]}
    - {name: pool, allow: http, hosts: [raw.test], ports: [{pool}], addresses: [127.0.0.1/32]}
    - {name: trouble, allow: https, hosts: [wrong.test, git.test, down.test],
       ports: [{https}, {strange}, {down}], addresses: [127.0.0.1/32]}
    - {name: trouble-plain, allow: http, hosts: [down.test], ports: [{down}],
       addresses: [127.0.0.1/32]}
"""
UPLOAD = 5 << 20
LARGE = 64 << 20
SHOW = "-w '\\n%{http_code} %{http_version} %{remote_ip}\\n'"
BASE = "curl -sS --max-time 60"

SCRIPTS = {
    "https-2": f"{BASE} {SHOW} https://origin.test:HTTPS/hello",
    "https-1": f"{BASE} {SHOW} --http1.1 https://origin.test:HTTPS/hello",
    "http-1": f"{BASE} {SHOW} http://origin.test:HTTP/hello",
    "h2c": f"{BASE} {SHOW} --http2 http://origin.test:HTTP/hello",
    "https-4": f"{BASE} {SHOW} -4 https://origin.test:HTTPS/hello",
    "https-6": f"{BASE} {SHOW} -6 https://origin.test:HTTPS/hello",
    "http-6": f"{BASE} {SHOW} -6 http://origin.test:HTTP/hello",
    "upstream-6": f"{BASE} {SHOW} -6 http://six.test:HTTP/hello",
    "head": f"{BASE} -I https://origin.test:HTTPS/hello",
    "large-https": f"{BASE} -o /dev/null -w '%{{size_download}}' https://origin.test:HTTPS/large",
    "large-http": f"{BASE} -o /dev/null -w '%{{size_download}}' http://origin.test:HTTP/large",
    "put": f"head -c {UPLOAD} /dev/zero | {BASE} -T - https://raw.test:SINK/put",
    "post": f"head -c {UPLOAD} /dev/zero >zeros; "
    f"{BASE} --data-binary @zeros https://raw.test:SINK/post",
    "post-1": f"head -c {UPLOAD} /dev/zero >zeros; "
    f"{BASE} --http1.1 --expect100-timeout 10 --data-binary @zeros"
    " https://raw.test:SINK/post",
    "hints": f"{BASE} {SHOW} http://raw.test:HINTS/hello",
    "pool": f"{BASE} {SHOW} http://raw.test:POOL/work",
    "keep-alive": f"{BASE} --http1.1 -o one -o two -w '%{{num_connects}} %{{http_code}}\\n'"
    " https://origin.test:HTTPS/hello https://origin.test:HTTPS/keep-alive-denied",
    # Denied
    "method-https": f"{BASE} {SHOW} -X DELETE https://origin.test:HTTPS/hello",
    "method-http": f"{BASE} {SHOW} -X DELETE http://origin.test:HTTP/hello",
    "path-https": f"{BASE} {SHOW} https://origin.test:HTTPS/denied",
    "override-method": f"{BASE} {SHOW} -H 'X-Method-Override: DELETE'"
    " https://origin.test:HTTPS/hello",
    "override-path-1": f"{BASE} {SHOW} --http1.1 -H 'X-Original-URL: /denied'"
    " https://origin.test:HTTPS/hello",
    "path-http": f"{BASE} {SHOW} http://origin.test:HTTP/denied",
    "host-https": f"{BASE} {SHOW} https://elsewhere.test/denied",
    "host-http": f"{BASE} {SHOW} http://elsewhere.test/denied",
    "port-https": f"{BASE} {SHOW} https://origin.test/denied",
    "upload-denied": f"{BASE} {SHOW} -T zeros https://origin.test:HTTPS/denied",
    "json": f"{BASE} -H 'Accept: application/json' https://elsewhere.test/denied",
    "fail": f"{BASE} -f https://elsewhere.test/denied",
    "plain-on-tls": f"{BASE} {SHOW} http://origin.test:HTTPS/denied",
    "address-4": f"{BASE} {SHOW} http://203.0.113.7/denied",
    "address-6": f"{BASE} {SHOW} http://[2001:db8::7]/denied",
    "address-tls": f"{BASE} {SHOW} https://203.0.113.7/denied",
    "private-4": f"{BASE} {SHOW} http://10.9.8.7/denied",
    "private-6": f"{BASE} {SHOW} http://[fd12:3456::1]/denied",
    "metadata": f"{BASE} {SHOW} http://169.254.169.254/latest/meta-data/",
    # Fronting: the name of the connection, of the handshake and of the request must agree
    "front-host-2": f"{BASE} {SHOW} -H 'Host: other.test' https://origin.test:HTTPS/hello",
    "front-host-1": f"{BASE} {SHOW} --http1.1 -H 'Host: other.test'"
    " https://origin.test:HTTPS/hello",
    "front-host-http": f"{BASE} {SHOW} -H 'Host: other.test' http://origin.test:HTTP/hello",
    "front-resolve": f"{BASE} {SHOW} --resolve other.test:HTTPS:$(getent ahostsv4 origin.test"
    " | head -1 | cut -d' ' -f1) https://other.test:HTTPS/hello",
    "front-connect-to": f"{BASE} {SHOW} --connect-to other.test:443:origin.test:HTTPS"
    " https://other.test/hello",
    "front-connect-to-http": f"{BASE} {SHOW} --connect-to other.test:80:origin.test:HTTP"
    " http://other.test/hello",
    "front-allowed-name": f"{BASE} {SHOW} --connect-to origin.test:HTTPS:elsewhere.test:443"
    " https://origin.test:HTTPS/hello",
    # Allowed, but something is wrong behind the firewall
    "wrong-name": f"{BASE} {SHOW} https://wrong.test:HTTPS/trouble",
    "wrong-issuer": f"{BASE} {SHOW} https://git.test:STRANGE/trouble",
    "down-https": f"{BASE} {SHOW} https://down.test:DOWN/trouble",
    "down-http": f"{BASE} {SHOW} http://down.test:DOWN/trouble",
}


@dataclass(frozen=True)
class Ran:
    steps: Steps
    arrived: list[str]
    strange: list[str]
    sink: Web


@pytest.fixture(scope="module")
def ran(certificates: Certificates, nginx: Nginx) -> Iterator[Ran]:
    """Everything in one sandbox, towards nginx and one nginx that nobody should trust."""
    before = len(nginx.requests())
    with (
        opened(certificates) as workplace,
        public_folder("fw-strange-") as folder,
        public_folder("fw-strange-certificates-") as foreign,
    ):
        strange = Nginx(folder, Certificates(foreign))
        sink = Web(certificates)
        hints = RawServer(_hint)
        pool = RawServer(_hand_out_work)
        ports = {"https": nginx.https, "http": nginx.http, "sink": sink.port}
        ports |= {"strange": strange.https, "down": free_port(), "hints": hints.port}
        ports |= {"pool": pool.port}
        policy = workplace.policy(POLICY, **ports)
        try:
            steps = take_steps(workplace, policy, _with_ports(ports), timeout=240)
            yield Ran(steps, nginx.requests()[before:], strange.requests(), sink)
        finally:
            sink.close()
            hints.close()
            pool.close()
            strange.close()


def _hint(client: socket.socket) -> None:
    """Answers with advice first (RFC 8297)."""
    client.recv(65536)
    client.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


def _hand_out_work(client: socket.socket) -> None:
    """Answers as a getwork pool that can do better (cgminer util.c)."""
    client.recv(65536)
    head = b"HTTP/1.1 200 OK\r\nX-Long-Polling: /lp\r\nX-Stratum: stratum+tcp://raw.test:1\r\n"
    client.sendall(head + b"Content-Length: 5\r\n\r\n0ba5e\n")


def _with_ports(ports: dict[str, int]) -> dict[str, str]:
    def port(match: re.Match[str]) -> str:
        return str(ports[match[0].lower()])

    pattern = re.compile(r"\b(HTTPS|HTTP|SINK|HINTS|POOL|STRANGE|DOWN)\b")
    return {name: pattern.sub(port, script) for name, script in SCRIPTS.items()}


def _shown(step: Step) -> tuple[str, str]:
    """Body, and the line that SHOW prints: status, HTTP version, address."""
    body, _, shown = step.out.strip().rpartition("\n")
    return body.strip(), shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("https-2", "200 1.1 "),
        ("https-1", "200 1.1 "),
        ("http-1", "200 1.1 "),
        ("h2c", "200 1.1 "),
        ("https-4", "200 1.1 198.18."),
        ("https-6", "200 1.1 fd00:c612::"),
        ("http-6", "200 1.1 fd00:c612::"),
        ("upstream-6", "200 1.1 fd00:c612::"),
    ],
)
def test_an_allowed_request_is_answered_by_the_server(ran: Ran, name: str, shown: str) -> None:
    step = ran.steps[name]
    assert step.status == 0, step.err
    assert _shown(step)[0] == "hello from nginx"
    assert _shown(step)[1].startswith(shown)
    assert step.blocked == []
    assert [each["request"]["path"] for each in step.allowed("HttpRequest")] == ["/hello"]


def test_who_offers_both_is_served_the_faster_way(ran: Ran) -> None:
    hello = [each for each in ran.arrived if each.startswith("GET /hello")]
    assert sum("HTTP/1.1" in each for each in hello) == 9


def test_an_address_of_ipv6_is_dialled(ran: Ran) -> None:
    (connect,) = ran.steps["upstream-6"].allowed("Connect")
    assert connect["request"]["address"] == "::1"


def test_head_has_no_body_and_its_length(ran: Ran) -> None:
    assert re.search(r"(?i)^content-length: 17\r?$", ran.steps["head"].out, re.MULTILINE)


@pytest.mark.parametrize("name", ["large-https", "large-http"])
def test_a_large_download_arrives_whole(ran: Ran, name: str) -> None:
    assert ran.steps[name].status == 0, ran.steps[name].err
    assert ran.steps[name].out == str(LARGE)


@pytest.mark.parametrize("name", ["put", "post", "post-1"])
def test_an_upload_arrives_whole(ran: Ran, name: str) -> None:
    zeros = "c036cbb7553a909f8b8877d4461924307f27ecb66cff928eeeafd569c3887e29"
    assert ran.steps[name].out == f"{UPLOAD} {zeros}\n"
    method = name.partition("-")[0]
    assert f"{method.upper()} /{method}" in ran.sink.seen


def test_early_hints_do_not_hide_the_answer(ran: Ran) -> None:
    step = ran.steps["hints"]
    assert step.status == 0, step.err
    assert _shown(step)[0] == "hello"
    assert _shown(step)[1].startswith("200 1.1 ")


def test_what_a_pool_answers_is_replaced_by_the_reason(ran: Ran) -> None:
    step = ran.steps["pool"]
    body, shown = _shown(step)
    assert shown.startswith("403 1.1 ")
    assert "rule: guards.mining" in body
    assert "header x-long-polling" in body
    assert "0ba5e" not in body
    step.block("guards.mining", "curl")


def test_requests_on_one_connection_are_judged_one_by_one(ran: Ran) -> None:
    step = ran.steps["keep-alive"]
    assert step.out == "1 200\n0 403\n"
    step.block("default", "curl")


DENIED = [
    ("method-https", "default", "HttpRequest", "this is DELETE /hello"),
    ("method-http", "default", "HttpRequest", "this is DELETE /hello"),
    ("path-https", "default", "HttpRequest", "this is GET /denied"),
    ("override-method", "default", "HttpRequest", "this is DELETE /hello, as its header"),
    ("override-path-1", "default", "HttpRequest", "this is GET /denied, as its header"),
    ("path-http", "default", "HttpRequest", "this is GET /denied"),
    ("host-https", "default", "Connect", "no rule allows elsewhere.test on port 443"),
    ("host-http", "default", "Connect", "no rule allows elsewhere.test on port 80"),
    ("port-https", "default", "Connect", "not 443 (rule web)"),
    ("upload-denied", "default", "HttpRequest", "this is PUT /denied"),
    ("plain-on-tls", "default", "Connect", "(rule plain)"),
    ("address-4", "default", "Connect", "no rule allows 203.0.113.7 on port 80"),
    ("address-6", "default", "Connect", "no rule allows 2001:db8::7 on port 80"),
    ("address-tls", "default", "Connect", "no rule allows 203.0.113.7 on port 443"),
    ("private-4", "guards.private-addresses", "Connect", "10.9.8.7: private address"),
    ("private-6", "guards.private-addresses", "Connect", "unique-local address"),
    ("metadata", "guards.private-addresses", "Connect", "metadata"),
    ("front-host-2", "guards.name-mismatch", "HttpRequest", "for 'other.test'"),
    ("front-host-1", "guards.name-mismatch", "HttpRequest", "for 'other.test'"),
    ("front-host-http", "guards.name-mismatch", "HttpRequest", "for 'other.test'"),
    ("front-resolve", "guards.name-mismatch", "Connect", "handshake names 'other.test'"),
    ("front-connect-to", "guards.name-mismatch", "Connect", "handshake names 'other.test'"),
    ("front-connect-to-http", "guards.name-mismatch", "HttpRequest", "for 'other.test'"),
    ("front-allowed-name", "guards.name-mismatch", "Connect", "handshake names 'origin.test'"),
]


@pytest.mark.parametrize(("name", "rule", "kind", "reason"), DENIED)
def test_a_denied_request_is_told_why_and_recorded_once(
    ran: Ran, name: str, rule: str, kind: str, reason: str
) -> None:
    step = ran.steps[name]
    body, shown = _shown(step)
    assert step.status == 0, step.err
    assert shown.startswith("403 ")
    assert body.startswith("Blocked by the firewall")
    assert f"rule: {rule}" in body
    assert reason in body
    assert "to allow it: " in body
    record = step.block(rule, "curl")
    assert record["request"]["type"] == kind
    assert reason in record["verdict"]["reason"]


def test_nothing_that_was_denied_reached_a_server(ran: Ran) -> None:
    assert ran.arrived, "nginx writes its log"
    allowed = {f"{method} /{path}" for method in ("GET", "HEAD") for path in ("hello", "large")}
    assert {" ".join(each.split()[:2]) for each in ran.arrived} <= allowed
    assert not [each for each in ran.arrived if "other.test" in each]
    assert ran.strange == []
    assert sorted(ran.sink.seen) == ["POST /post", "POST /post", "PUT /put"]


def test_a_client_of_an_api_gets_json(ran: Ran) -> None:
    step = ran.steps["json"]
    assert step.out.startswith('{"error": {"message": "Blocked by the firewall: no rule allows')
    step.block("default", "curl")


def test_curl_can_fail_by_the_status(ran: Ran) -> None:
    step = ran.steps["fail"]
    assert step.status == 22
    assert "403" in step.err
    step.block("default", "curl")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wrong-name", "ertificate verify failed: hostname mismatch"),
        ("wrong-issuer", "ertificate verify failed: unable to get local issuer"),
        ("down-https", "refused"),
        ("down-http", "refused"),
    ],
)
def test_trouble_behind_the_firewall_is_named_and_is_no_block(
    ran: Ran, name: str, reason: str
) -> None:
    step = ran.steps[name]
    body, shown = _shown(step)
    assert reason in body
    assert body.startswith("The firewall could not reach the server")
    assert shown.startswith("502 ")
    assert step.blocked == []
    (connect,) = step.allowed("Connect")
    assert connect["verdict"]["rule"].startswith("trouble")
