"""Limits: what is too much is refused, and cut where it is under way, whoever carries it."""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.e2e.clients import Steps, opened, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, Nginx, RawServer
from tests.waiting import eventually

pytestmark = needs("curl", "nginx")

POLICY = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1, raw.test: 127.0.0.1, git.test: 127.0.0.1}
  limits: {names: 3/h}
  rules:
    - {name: unread, allow: https, hosts: [raw.test], ports: [{unread}], tls: passthrough,
       addresses: [127.0.0.1/32], limits: {sent: 300KB/h}}
    - {name: lane, allow: https, hosts: [raw.test], ports: [{lane}],
       addresses: [127.0.0.1/32], limits: {sent: 300KB/h, per: program}}
    - {name: depth, allow: https, hosts: [raw.test], ports: [{depth}], tool-calls: inspect,
       addresses: [127.0.0.1/32], limits: [{sent: 300KB/h}, {sent: 1GB/d}]}
    - {name: large, allow: https, hosts: [origin.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32], limits: {received: 1MB/h}}
    - {name: asked, allow: http, hosts: [origin.test], ports: [{http}], methods: [GET],
       addresses: [127.0.0.1/32], limits: {requests: 4/10min, per: host}}
    - {name: opened, allow: https, hosts: [git.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32], limits: {connections: 2/h}}
    - {name: others, allow: https, hosts: ["*.other.test"], addresses: [127.0.0.1/32]}
"""
BASE = "curl -sS --max-time 60 -w '\\n%{http_code}\\n'"
UPLOAD = f"head -c 5000000 /dev/zero | {BASE} -T -"
HELLO = "http://origin.test:{http}/hello"
SCRIPTS = {
    "unread": UPLOAD + " https://raw.test:{unread}/put",
    "lane": UPLOAD + " --http1.1 https://raw.test:{lane}/put",
    "depth": UPLOAD + " https://raw.test:{depth}/put",
    "large": BASE + " -o /dev/null https://origin.test:{https}/large",
    # An upgrade is for the depth process, the rest for the lane; what they allow is one count.
    "asked": f"""
        for i in 1 2; do {BASE} {HELLO}; {BASE} --http2 {HELLO}; done
        echo; echo lane; {BASE} -i {HELLO}
        echo depth; {BASE} -i --http2 {HELLO}""",
    "opened": f"for i in 1 2 3; do {BASE} https://git.test:{{https}}/hello; done",
    "turned-away": f"{BASE} https://a.other.test/",
}


@dataclass
class Sink:
    """A TLS server that takes whatever it is sent, and says nothing."""

    certificates: Certificates
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = RawServer(self._take)

    def _take(self, client: socket.socket) -> None:
        got = bytearray()
        try:
            with self.certificates.context().wrap_socket(client, server_side=True) as secured:
                while data := secured.recv(65536):
                    got += data
        except (OSError, ssl.SSLError):
            pass
        finally:
            self.bodies.append(bytes(got))


@dataclass
class Ran:
    steps: Steps
    sinks: dict[str, Sink]


@pytest.fixture(scope="module")
def ran(certificates: Certificates, nginx: Nginx) -> Iterator[Ran]:
    sinks = {name: Sink(certificates) for name in ("unread", "lane", "depth")}
    ports = {name: sink.server.port for name, sink in sinks.items()}
    ports |= {"https": nginx.https, "http": nginx.http}
    scripts = {name: _with(text, ports) for name, text in SCRIPTS.items()}
    with opened(certificates) as workplace:
        workplace.options = ("--inspect", "fast")
        policy = workplace.policy(POLICY, **ports)
        yield Ran(take_steps(workplace, policy, scripts), sinks)
    for sink in sinks.values():
        sink.server.close()


def _with(text: str, ports: dict[str, int]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(ports.get(found[1], found[0])), text)


@pytest.mark.parametrize("way", ["unread", "lane", "depth"])
def test_an_upload_is_cut_before_its_server_has_all_of_it(ran: Ran, way: str) -> None:
    sink, step = ran.sinks[way], ran.steps[way]
    eventually(lambda: sink.bodies)
    assert 0 < len(sink.bodies[0]) <= 300_000
    assert not sink.bodies[0].endswith(b"0\r\n\r\n")
    record = step.block(f"limits.{way}", "curl")
    assert record["verdict"]["reason"].startswith("the limit sent 300KB/h"), record
    limit = record["flow"]["limit"]
    assert (limit["rule"], limit["amount"], limit["seconds"]) == (way, 300_000, 3600)
    assert 0 < limit["used"] <= 300_000
    assert re.match(r"wait .*, or raise limits.sent of rule", record["verdict"]["remedy"])


@pytest.mark.parametrize("way", ["lane", "depth"])
def test_where_nothing_was_answered_the_client_is_told(ran: Ran, way: str) -> None:
    out = ran.steps[way].out
    assert out.endswith("\n429\n")
    assert "why: the limit sent 300KB/h" in out
    assert "there is room again in " in out


def test_a_cut_flow_that_nobody_reads_ends_with_a_reset(ran: Ran) -> None:
    assert "reset by peer" in ran.steps["unread"].err


def test_a_download_is_cut(ran: Ran) -> None:
    step = ran.steps["large"]
    assert step.status != 0
    record = step.block("limits.large", "curl")
    assert record["flow"]["limit"]["measure"] == "received"


def test_both_processes_count_together(ran: Ran) -> None:
    step = ran.steps["asked"]
    passed, _, more = step.out.partition("\nlane\n")
    assert passed.split().count("200") == 4
    assert [each["verdict"]["rule"] for each in step.blocked] == ["limits.asked"] * 2
    counted = {each["chain"] for each in step.allowed("HttpRequest")}
    assert counted == {"gate-0", "depth-0"} == {each["chain"] for each in step.blocked}
    assert len(re.findall(r"(?i)^HTTP/1.1 429", more, re.MULTILINE)) == 2
    assert len(re.findall(r"(?i)^retry-after: [0-9]+", more, re.MULTILINE)) == 2
    reason = (
        "the limit requests 4/10min per host of rule asked is reached: 4 of 4 requests for"
        " origin.test; there is room again in"
    )
    assert more.count("why: " + reason) == 2
    assert more.count(f"429 Blocked by the firewall: {reason}") == 2, "and behind the status"


def test_connections_and_names(ran: Ran) -> None:
    assert ran.steps["opened"].out.split().count("200") == 2
    ran.steps["opened"].block("limits.opened", "curl")
    record = ran.steps["turned-away"].block("network.limits", "curl")
    assert "3 of 3 different names" in record["verdict"]["reason"]
    assert "429" in ran.steps["turned-away"].out
