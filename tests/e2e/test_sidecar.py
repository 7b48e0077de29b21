"""`firewall sidecar`: agent and gate in one network with a route out, watched from outside."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from firewall.sidecar import UID
from tests.e2e import clients, pod
from tests.e2e.conftest import FIREWALL, needs
from tests.e2e.pod import METRICS, SERVER, SERVER6, Pod
from tests.e2e.servers import Certificates
from tests.waiting import PATIENCE, eventually

pytestmark = [
    needs("curl", "dig", "git", "ssh", "nginx", "unshare", "nsenter", "setpriv", "ip"),
    pytest.mark.skipif(os.geteuid() != 0, reason="whoever writes the rules must be root"),
    pytest.mark.skipif(not clients.has_python(), reason="the agent cannot read another Python"),
]

POLICY = f"""
version: 1
name: test
network:
  names: {{origin.test: {SERVER}, raw.test: "2001:db8::5"}}
  rules:
    - {{name: web, allow: https, hosts: [origin.test, raw.test], methods: [GET],
       addresses: [{SERVER}/32, "2001:db8::5/128"]}}
"""
PLACES = ((int(socket.AF_INET), SERVER), (int(socket.AF_INET6), SERVER6))

SEND = f"""
import socket
def attempt(family, kind, protocol, place):
    try:
        with socket.socket(family, kind, protocol) as s:
            s.settimeout(5)
            s.connect(place)
            s.send(b"\\x80" + bytes(15))
            print("sent")
            s.recv(1)
    except OSError as error:
        print(type(error).__name__)
for family, host in {PLACES!r}:
    for protocol in (58 if family == 10 else 1, 132, 253):
        attempt(family, socket.SOCK_RAW, protocol, (host, 0))
"""
"""What only CAP_NET_RAW may send."""
FRAME = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0x88b5))
s.send(b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + b"secret" * 10)
"""
QUESTION = "abcd010000010000000000000673656372657404746573740000010001"
CLAIM = f"""
import socket
for kind, protocol, place in (
    (socket.SOCK_DGRAM, 0, ("2001:db8::53", 53)),
    (socket.SOCK_STREAM, 0, ("{SERVER6}", 443)),
    (socket.SOCK_STREAM, 262, ("{SERVER6}", 443)),
    (socket.SOCK_STREAM, 262, ("::1", 3128)),
):
    with socket.socket(socket.AF_INET6, kind, protocol) as s:
        s.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        s.bind(("2001:db8:dead::1", 0))
        s.settimeout(0.2)
        try:
            s.connect(place)
            s.send(bytes.fromhex("{QUESTION}"))
            s.recv(1)
        except OSError as error:
            print(error)
"""
"""Clients that say they are elsewhere, one of whom asks for the address of secret.test."""


@pytest.fixture(scope="module")
def here(certificates: Certificates) -> Iterator[Pod]:
    """A pod whose rules are in force and whose gate runs."""
    with clients.opened(certificates) as workplace, pod.opened(workplace) as made:
        # That the witness sees what leaves, and that without rules it would.
        assert made.curl(f"http://{SERVER}/hello") == "hello from nginx\n200"
        assert f"tcp {SERVER} 80" in made.left()
        frame = made.agent(clients.SYSTEM_PYTHON, "-c", FRAME, capabilities="net_raw")
        assert "frame 88b5" in made.left(), frame.stderr
        policy = workplace.policy(POLICY)
        assert "run `firewall sidecar init` in this network first" in refusal(made, policy)
        assert made.init("--uid", "5555").returncode == 0
        assert "the rules let out another user" in refusal(made, policy)
        assert made.init("--inbound", str(METRICS)).returncode == 0
        made.start(policy)
        yield made


def refusal(made: Pod, policy: Path) -> str:
    """Why the gate does not start."""
    environment = made.workplace.environment
    done = subprocess.run(
        made.serve(policy), check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 125
    return done.stderr


def records(here: Pod) -> list[dict[str, Any]]:
    return [each for each in here.workplace.records() if each["kind"] == "verdict"]


def test_what_is_allowed_passes_in_both_families_and_in_both_ways(here: Pod) -> None:
    here.left()
    for url in ("https://origin.test/hello", "https://raw.test/hello"):
        assert here.curl(url) == "hello from nginx\n200"
        assert here.curl("-x", "http://127.0.0.1:3128", url) == "hello from nginx\n200"
    assert set(here.left()) == {f"tcp {SERVER} 443", f"tcp {SERVER6} 443"}
    clone = str(here.workplace.work / "clone")
    done = here.agent("git", "clone", "-q", "https://origin.test/r.git", clone)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_denied_says_why_and_does_not_leave(here: Pod) -> None:
    here.left()
    for url in ("http://other.test/", "https://other.test/", f"http://{SERVER}/hello"):
        assert "why: no rule allows" in (said := here.curl(url)), said
    assert "why: no rule allows" in here.curl(f"http://[{SERVER6}]/hello")
    said = here.agent("ssh", "-o", "StrictHostKeyChecking=no", "git@other.test").stderr
    assert "blocked by the firewall" in said.lower(), said
    assert here.left() == []


def test_every_name_server_is_the_gate(here: Pod) -> None:
    """Also the engine's own at 127.0.0.11, whose port anybody in the network could find out."""
    here.left()
    for server in ("192.0.2.53", "2001:db8:1::1", "127.0.0.11", "::1"):
        for way in ("+notcp", "+tcp"):
            done = here.agent("dig", "+short", "+tries=1", way, f"@{server}", "origin.test")
            assert done.stdout.startswith("198.18."), done
    assert not reaches_an_engines_resolver(here)
    assert here.left() == []


def reaches_an_engines_resolver(here: Pod) -> bool:
    """Whether the agent is heard at 127.0.0.11, where an engine would ask outside for it."""
    listening = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.11", 0))
print(s.getsockname()[1], flush=True)
sys.stdin.readline()
s.setblocking(False)
try:
    print(s.recv(100))
except BlockingIOError:
    print("nothing")
"""
    with here.as_the_gate_beside(listening) as engine:
        assert engine.stdout is not None
        port = engine.stdout.readline().strip()
        send = f"import socket as s; s.socket(2, 2).sendto(b'x', ('127.0.0.11', {port}))"
        here.agent(clients.SYSTEM_PYTHON, "-c", send)
        return engine.communicate("look\n", PATIENCE)[0] != "nothing\n"


def test_a_datagram_is_recorded_with_where_it_went_and_whose_it_was(here: Pod) -> None:
    here.left()
    seen = here.workplace.work / "seen"
    script = f"""
import os, socket, time
connected = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
connected.connect(("{SERVER6}", 4433))
connected.send(b"x")
mapped = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
mapped.connect(("::ffff:{SERVER}", 4434))
mapped.send(b"x")
loose = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
loose.sendto(b"x", ("{SERVER}", 4435))
while not os.path.exists("{seen}"):
    time.sleep(0.01)
"""

    def denied() -> set[tuple[str, int, int]]:
        return {
            (each["request"]["host"], each["request"]["port"], each["actor"]["uid"])
            for each in records(here)
            if each["request"].get("transport") == "udp"
        }

    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(here.agent, clients.SYSTEM_PYTHON, "-c", script)
        wanted = {(SERVER6, 4433), (SERVER, 4434), ("0.0.0.0", 0)}
        eventually(lambda: {(*each, pod.AGENT) for each in wanted} <= denied())
        seen.touch()
        assert ran.result().returncode == 0
    assert here.left() == []


def test_what_is_neither_tcp_nor_udp_does_not_leave(here: Pod) -> None:
    """Raw sockets, by one who may make them."""
    here.left()
    done = here.agent(clients.SYSTEM_PYTHON, "-c", SEND, capabilities="net_raw")
    assert "PermissionError" in done.stdout, done


def test_frames_past_the_ip_stack_do_not_leave_where_the_kernel_can_hold_them(here: Pod) -> None:
    here.left()
    held = "holds no frames back" not in here.init("--inbound", str(METRICS)).stderr
    done = here.agent(clients.SYSTEM_PYTHON, "-c", FRAME, capabilities="net_raw")
    assert here.left() == ([] if held else ["frame 88b5"]), done


def test_a_socket_bound_to_an_interface_takes_no_other_road(here: Pod) -> None:
    """Such a packet is not led to loopback; the wall must hold it without the other table, too."""
    script = f"""
import socket
for family, host, local in ((2, "{SERVER}", "127.0.0.1"), (10, "{SERVER6}", "::1")):
    for kind in ((socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0), (socket.SOCK_STREAM, 262)):
        for place in (host, local):
            with socket.socket(family, *kind) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                s.settimeout(0.1)
                try:
                    s.connect((place, 443))
                    s.send(b"secret")
                except OSError:
                    pass
"""
    alone = (
        "from firewall.sandbox import nftables as n; from firewall.sidecar.rules import TABLE;"
        "n.commit(n.without_table(TABLE, n.NETDEV))"
    )
    here.left()
    here.with_capabilities("net_admin", sys.executable, "-c", alone)
    try:
        assert here.agent(clients.SYSTEM_PYTHON, "-c", script).returncode == 0
        assert here.left() == []
    finally:
        here.init("--inbound", str(METRICS))


def test_no_answer_leaves_to_an_address_that_a_client_only_claims_to_have(here: Pod) -> None:
    """IPv6 asks nobody whether a source is its own (ip(7), IP_FREEBIND): the gate's answers would
    carry what the agent asked to wherever it says it is."""
    here.left()
    done = here.agent(clients.SYSTEM_PYTHON, "-c", CLAIM)
    assert len(done.stdout.splitlines()) == 4, done
    assert here.left() == []


def test_nobody_beside_the_gate_answers_it_in_anothers_name(here: Pod) -> None:
    """Else whoever claims to be its name server could have it dial any address."""
    asking = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect(("2001:db8:7::7", 5353))
s.send(b"question")
print(s.getsockname()[1], flush=True)
sys.stdin.readline()
s.setblocking(False)
try:
    print(s.recv(100))
except BlockingIOError:
    print("nothing")
"""
    answering = """
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.IPPROTO_IPV6, 78, 1)
    s.bind(("2001:db8:7::7", 5353))
    try:
        s.sendto(b"answer", ("2001:db8:1::2", PORT))
    except PermissionError:
        print("not sent")
"""
    with here.as_the_gate_beside(asking) as gate:
        assert gate.stdout is not None
        port = gate.stdout.readline().strip()
        script = answering.replace("PORT", port)
        assert here.agent(clients.SYSTEM_PYTHON, "-c", script).stdout == "not sent\n"
        assert gate.communicate("look\n", PATIENCE)[0] == "nothing\n"


def test_what_the_gate_wrote_arrives_though_it_closed_the_socket(here: Pod) -> None:
    """The kernel goes on sending then, from a socket that is nobody's any more."""
    server = f"""
import socket, sys
s = socket.create_server(("{SERVER}", 7007))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
print("ready", flush=True)
c = s.accept()[0]
sys.stdin.readline()
n = 0
while data := c.recv(1 << 16):
    n += len(data)
print(n)
"""
    client = f"""
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
s.connect(("{SERVER}", 7007))
s.setblocking(False)
print(s.send(bytes(100_000)))
s.close()
"""
    words = here.outside(sys.executable, "-c", server)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "ready\n"
        sent = here.as_the_gate(client)
        assert listening.communicate("read\n", PATIENCE)[0] == sent == "100000\n"


def test_from_outside_only_the_named_port_is_reached(here: Pod) -> None:
    def reached(*words: str) -> subprocess.CompletedProcess[str]:
        command = here.outside("curl", "-sS", "-m", "1", *words)
        return subprocess.run(command, check=False, capture_output=True, text=True)

    assert "firewall_policy_info" in reached(f"http://192.0.2.2:{METRICS}/metrics").stdout
    for port in (3128, 3129):
        assert reached(f"http://192.0.2.2:{port}/").returncode == 28, "it answers nothing"


def test_the_listener_of_redirected_connections_cannot_be_reached_directly(here: Pod) -> None:
    assert "Failed to connect" in here.curl("http://127.0.0.1:3129/")


def test_only_who_may_change_the_network_changes_the_rules(here: Pod) -> None:
    done = here.init(capabilities="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Operation not permitted" in done.stderr
    done = here.agent("ip", "route", "del", "default", uid=0)
    assert "Operation not permitted" in done.stderr, done
    done = here.agent("curl", "-sS", "-m", "30", f"http://{SERVER}/hello", uid=0)
    assert "Blocked by the firewall" in done.stdout, done
    assert "no rule allows" in here.curl("http://other.test/")


def test_the_machines_own_network_gets_no_rules(here: Pod) -> None:
    done = subprocess.run(
        [*FIREWALL, "sidecar", "init"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "network of the machine itself" in done.stderr) == (1, True)


def test_a_gate_of_another_user_does_not_start(here: Pod) -> None:
    words = [*FIREWALL, "sidecar", "serve", "--policy", "base"]
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, env=here.workplace.environment
    )
    assert done.returncode == 125
    assert f"this runs as user 0, but the rules let out user {UID}" in done.stderr


def test_rules_are_replaced_in_one_step_while_the_gate_works(here: Pod) -> None:
    for _ in range(2):
        assert here.init("--inbound", str(METRICS)).returncode == 0
    assert here.curl("https://origin.test/hello") == "hello from nginx\n200"


def test_nothing_leaves_while_there_is_no_gate_and_the_next_one_serves_again(here: Pod) -> None:
    here.left()
    here.stop(signal.SIGKILL)
    for host in (SERVER, f"[{SERVER6}]"):
        for port in (80, 443, 53):
            assert "Failed to connect" in (said := here.curl(f"http://{host}:{port}/")), said
    assert here.agent("dig", "+tries=1", "+timeout=1", "@192.0.2.53", "x.test").returncode == 9
    done = here.agent(clients.SYSTEM_PYTHON, "-c", SEND, capabilities="net_raw")
    assert "PermissionError" in done.stdout, done
    here.agent(clients.SYSTEM_PYTHON, "-c", CLAIM)
    assert "Could not resolve host" in here.curl("https://origin.test/hello")
    assert here.left() == []
    here.start(here.workplace.folder / "policy" / "policy.yaml", "--inspect", "fast")
    assert here.curl("https://origin.test/hello") == "hello from nginx\n200"


def test_without_redirection_only_the_proxy_has_a_way_out(here: Pod) -> None:
    here.left()
    assert here.init("--explicit").returncode == 0
    try:
        assert "Connection reset" not in (said := here.curl(f"http://{SERVER}/")), said
        assert "Failed to connect" in said
        assert "Could not resolve host" in here.curl("https://origin.test/hello")
        assert here.left() == []
        assert not reaches_an_engines_resolver(here)
        proxied = here.curl("-x", "http://127.0.0.1:3128", "https://origin.test/hello")
        assert proxied == "hello from nginx\n200"
    finally:
        assert here.init("--inbound", str(METRICS)).returncode == 0
