"""Programs that know nothing of the firewall: each reaches what is allowed, and only that."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.clients import SYSTEM_PYTHON, Steps, has_python, opened, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, Nginx, RawServer

pytestmark = [
    needs("nginx"),
    pytest.mark.skipif(not has_python(), reason=f"not installed: {SYSTEM_PYTHON}"),
]

POLICY = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1, raw.test: 127.0.0.1}
  rules:
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32]}
    - {name: plain, allow: http, hosts: [origin.test], ports: [{http}], methods: [GET],
       addresses: [127.0.0.1/32]}
    - {name: stream, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32]}
"""


def _here(program: str, code: str) -> str:
    return f"{program} - <<'END'\n{code}\nEND\n"


URLLIB = """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("URL", timeout=60).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
REQUESTS = """
import requests
answer = requests.get("URL", timeout=60)
print(answer.status_code, answer.text)
"""
HTTPX = """
import httpx
with httpx.Client(http1=False, http2=True) as client:
    answer = client.get("URL", timeout=60)
    print(answer.status_code, answer.http_version, answer.text)
"""
FETCH = """
fetch("URL").then(async (answer) => console.log(answer.status, await answer.text()))
"""
CONNECT = """
import socket
client = socket.create_connection(("HOST", PORT), 60)
client.sendall(bytes.fromhex("000102030405060708090a0b0c0d0e0f"))
try:
    print(client.recv(100).hex())
except ConnectionError as error:
    print(type(error).__name__)
"""
DEV_TCP = """
exec 3<>/dev/tcp/HOST/PORT
printf 'GET /hello HTTP/1.1\\r\\nHost: HOST:PORT\\r\\nConnection: close\\r\\n\\r\\n' >&3
cat <&3
"""
S_CLIENT = """
printf 'GET /hello HTTP/1.1\\r\\nHost: NAME:PORT\\r\\nConnection: close\\r\\n\\r\\n' |
    timeout 60 openssl s_client -connect HOST:PORT -servername NAME -ign_eof -verify_return_error
"""

GOOD, BAD = "https://origin.test:HTTPS/hello", "https://elsewhere.test/hello"
STREAM = CONNECT.replace("HOST", "raw.test").replace("PORT", "RAW")
PYTHON = {
    "urllib": _here(SYSTEM_PYTHON, URLLIB),
    "requests": _here(sys.executable, REQUESTS),
    "httpx": _here(sys.executable, HTTPX),
    "fetch": _here("node", FETCH),
}
SCRIPTS = {
    "wget": "wget -q -O - https://origin.test:HTTPS/hello",
    "wget-plain": "wget -q -O - http://origin.test:HTTP/hello",
    "wget-denied": "wget -O - --content-on-error https://elsewhere.test/hello",
    **{name: script.replace("URL", GOOD) for name, script in PYTHON.items()},
    **{f"{name}-denied": script.replace("URL", BAD) for name, script in PYTHON.items()},
    "dev-tcp": DEV_TCP.replace("HOST", "origin.test")
    .replace("PORT", "HTTP", 2)
    .replace("origin.test:PORT", "origin.test:HTTP"),
    "dev-tcp-denied": DEV_TCP.replace("HOST", "203.0.113.5").replace("PORT", "80"),
    "s-client": S_CLIENT.replace("HOST:PORT", "origin.test:HTTPS")
    .replace("NAME", "origin.test")
    .replace("PORT", "HTTPS"),
    "s-client-denied": S_CLIENT.replace("HOST:PORT", "elsewhere.test:443")
    .replace("NAME", "elsewhere.test")
    .replace("PORT", "443"),
    "s-client-front": S_CLIENT.replace("HOST:PORT", "origin.test:HTTPS")
    .replace("NAME", "elsewhere.test")
    .replace("PORT", "HTTPS"),
    "stream": _here(SYSTEM_PYTHON, STREAM),
    "stream-address": _here(
        SYSTEM_PYTHON, CONNECT.replace("HOST", "203.0.113.5").replace("PORT", "4444")
    ),
    "stream-address-6": _here(
        SYSTEM_PYTHON, CONNECT.replace("HOST", "2001:db8::5").replace("PORT", "4444")
    ),
    "stream-name": _here(
        SYSTEM_PYTHON, CONNECT.replace("HOST", "elsewhere.test").replace("PORT", "4444")
    ),
}
"""REQUESTS and HTTPX are of the tests' own Python, which root's agent reaches only as root."""


@dataclass(frozen=True)
class Ran:
    steps: Steps
    arrived: list[str]
    raw: list[bytes]


@pytest.fixture(scope="module")
def ran(certificates: Certificates, nginx: Nginx) -> Iterator[Ran]:
    before = len(nginx.requests())
    raw = RawServer()
    ports = {"https": nginx.https, "http": nginx.http, "raw": raw.port}
    with opened(certificates) as workplace:
        policy = workplace.policy(POLICY, **ports)
        scripts = {name: _with_ports(script, ports) for name, script in SCRIPTS.items()}
        steps = take_steps(workplace, policy, scripts, user="root", timeout=240)
        yield Ran(steps, nginx.requests()[before:], raw.received)
    raw.close()


def _with_ports(script: str, ports: dict[str, int]) -> str:
    for name in ("HTTPS", "RAW"):
        script = script.replace(name, str(ports[name.lower()]))
    return (
        script.replace(":HTTP/", f":{ports['http']}/")
        .replace("test/HTTP\n", f"test/{ports['http']}\n")
        .replace(":HTTP\\r", f":{ports['http']}\\r")
    )


ALLOWED = [
    pytest.param("wget", "hello from nginx", marks=needs("wget")),
    pytest.param("wget-plain", "hello from nginx", marks=needs("wget")),
    ("urllib", "hello from nginx"),
    ("requests", "200 hello from nginx"),
    ("httpx", "200 HTTP/2 hello from nginx"),
    pytest.param("fetch", "200 hello from nginx", marks=needs("node")),
    ("dev-tcp", "hello from nginx"),
]


@pytest.mark.parametrize(("name", "shown"), ALLOWED)
def test_what_is_allowed_works_without_the_programs_help(ran: Ran, name: str, shown: str) -> None:
    step = ran.steps[name]
    assert step.status == 0, step.err
    assert shown in step.out, step
    assert step.blocked == []
    (request,) = step.allowed("HttpRequest")
    assert request["request"]["path"] == "/hello"
    assert request["actor"]["process"]


DENIED = [
    pytest.param("wget-denied", "wget", marks=needs("wget")),
    ("urllib-denied", "python3"),
    ("requests-denied", "python3"),
    ("httpx-denied", "python3"),
    pytest.param("fetch-denied", "node", marks=needs("node")),
    pytest.param("s-client-denied", "openssl", marks=needs("openssl")),
]


@pytest.mark.parametrize(("name", "program"), DENIED)
def test_what_is_denied_says_so_in_the_programs_own_way(ran: Ran, name: str, program: str) -> None:
    step = ran.steps[name]
    assert "403" in step.out + step.err
    assert "Blocked by the firewall" in step.out
    assert "why: no rule allows elsewhere.test on port 443" in step.out
    assert "to allow it: add to network.rules: {name: elsewhere-test, allow: https" in step.out
    assert step.block("default", program)["request"]["sni"] == "elsewhere.test"


@needs("openssl")
def test_the_certificate_is_the_firewalls_and_is_trusted(ran: Ran) -> None:
    for name in ("s-client", "s-client-denied"):
        shown = ran.steps[name].out + ran.steps[name].err
        assert "Verify return code: 0 (ok)" in shown
        assert "O = agent-firewall" in shown
    assert "hello from nginx" in ran.steps["s-client"].out


@needs("openssl")
def test_a_name_in_the_handshake_that_is_not_the_connections_is_fronting(ran: Ran) -> None:
    step = ran.steps["s-client-front"]
    assert "the TLS handshake names 'elsewhere.test', the connection 'origin.test'" in step.out
    step.block("guards.name-mismatch", "openssl")


def test_dev_tcp_to_an_address_is_denied(ran: Ran) -> None:
    step = ran.steps["dev-tcp-denied"]
    assert step.out.startswith("HTTP/1.1 403 ")
    assert "no rule allows 203.0.113.5 on port 80" in step.out
    step.block("default", "bash")


def test_a_stream_passes_by_a_tcp_rule(ran: Ran) -> None:
    step = ran.steps["stream"]
    assert step.out == "000102030405060708090a0b0c0d0e0f\n"
    assert [each["verdict"]["rule"] for each in step.allowed("Connect")] == ["stream"]
    assert b"".join(ran.raw) == bytes(range(16))


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("stream-address", "203.0.113.5"),
        ("stream-address-6", "2001:db8::5"),
        ("stream-name", "elsewhere.test"),
    ],
)
def test_another_stream_is_reset(ran: Ran, name: str, host: str) -> None:
    step = ran.steps[name]
    assert step.out == "ConnectionResetError\n"
    request = step.block("default", "python3")["request"]
    assert (request["host"], request["port"], request["protocol"]) == (host, 4444, "unknown")


def test_nothing_else_reached_the_server(ran: Ran) -> None:
    assert set(ran.arrived) <= {
        each for each in ran.arrived if each.startswith("GET /hello ") and "origin.test" in each
    }
    assert len(ran.arrived) == sum(len(step.allowed("HttpRequest")) for step in ran.steps.values())
