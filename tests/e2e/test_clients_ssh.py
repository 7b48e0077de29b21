"""OpenSSH: refused with words, relayed where a rule trusts it, never with a door back in."""

import getpass
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Steps, opened, public_folder, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates
from tests.e2e.upstreams import Sshd

pytestmark = needs("ssh", "sshd", "ssh-keygen")

POLICY = """
version: 1
name: test
network:
  names: {trusted.test: 127.0.0.1, other.test: 127.0.0.1}
  rules:
    - {name: trusted, allow: ssh, hosts: [trusted.test], ports: [{port}], forwarding: trusted,
       addresses: [127.0.0.1/32]}
    - {name: web, allow: https, hosts: [other.test]}
"""
OPTIONS = (
    "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    " -o LogLevel=ERROR -o ConnectTimeout=60"
)


@pytest.fixture(scope="module")
def ran(certificates: Certificates) -> Iterator[Steps]:
    with opened(certificates) as workplace, public_folder("fw-ssh-") as folder:
        sshd = Sshd(folder)
        ssh = f"ssh {OPTIONS} -i key -p {sshd.port}"
        login = getpass.getuser()
        take_key = f"install -m 600 {sshd.key} key; "
        scripts = {
            "command": f"{take_key}{ssh} {login}@trusted.test 'echo on the other side; exit 7'",
            "reverse": f"{ssh} -R 9999:127.0.0.1:22 {login}@trusted.test true",
            "reverse-option": f"{ssh} -o RemoteForward='9999 127.0.0.1:22'"
            f" {login}@trusted.test true",
            "denied": f"{ssh} {login}@other.test true",
            "denied-443": f"ssh {OPTIONS} -p 443 git@other.test true",
            "address": f"ssh {OPTIONS} git@203.0.113.22 true",
        }
        try:
            yield take_steps(workplace, workplace.policy(POLICY, port=sshd.port), scripts)
        finally:
            sshd.close()


def test_a_trusted_host_runs_a_command(ran: Steps) -> None:
    step = ran["command"]
    assert (step.status, step.out) == (7, "on the other side\n"), step.err
    (connect,) = step.allowed("Connect")
    assert connect["verdict"]["rule"] == "trusted"
    assert connect["verdict"]["obligations"]["ssh"] == "relay"
    assert connect["request"]["protocol"] == "ssh"


@pytest.mark.parametrize("name", ["reverse", "reverse-option"])
def test_a_door_back_in_is_refused_even_there(ran: Steps, name: str) -> None:
    step = ran[name]
    assert step.status == 255
    assert "Blocked by the firewall" in step.err
    assert "guards.ssh-reverse-forwarding" in step.err
    record = step.block("guards.ssh-reverse-forwarding", "ssh")
    assert record["verdict"]["severity"] == "critical"
    assert record["request"]["findings"][0]["kind"] == "ssh-reverse-forwarding"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("denied", "on port"),
        ("denied-443", "SSH on port 443; rule web allows https"),
        ("address", "no rule allows 203.0.113.22 on port 22"),
    ],
)
def test_ssh_is_refused_with_words_on_every_port(ran: Steps, name: str, reason: str) -> None:
    step = ran[name]
    assert step.status == 255
    assert "Blocked by the firewall" in step.err
    assert reason in step.err
    assert "(rule: default)" in step.err
    record = step.block("default", "ssh")
    assert record["request"]["protocol"] == "ssh"
