"""Everything that leaves a program arrives at the firewall, whatever it is and wherever it goes."""

import errno
import socket
import time
from typing import Any

import pytest

from firewall.sandbox import ActorFinder, Sandbox, channel
from tests.e2e.sandbox.inside import PYTHON, USER, Inside
from tests.waiting import PATIENCE

IP_RECVORIGDSTADDR = 20
IPV6_RECVORIGDSTADDR = 74


def accept(sandbox: Sandbox) -> tuple[socket.socket, Any]:
    sandbox.tcp.settimeout(PATIENCE)
    return sandbox.tcp.accept()


def plain(host: str) -> str:
    return host.removeprefix("::ffff:")


@pytest.mark.parametrize(
    ("family", "host", "port"),
    [
        ("AF_INET", "203.0.113.9", 443),
        ("AF_INET", "10.1.2.3", 1),
        ("AF_INET", "169.254.169.254", 80),
        ("AF_INET6", "2001:db8::9", 65535),
        ("AF_INET6", "fe80::1", 22),
        ("AF_INET6", "::ffff:203.0.113.9", 8080),
    ],
)
def test_tcp_arrives_with_its_destination(
    inside: Inside, family: str, host: str, port: int
) -> None:
    def serve(sandbox: Sandbox) -> list[Any]:
        flow, peer = accept(sandbox)
        with flow:
            flow.sendall(b"from the firewall")
            return [plain(flow.getsockname()[0]), flow.getsockname()[1], plain(peer[0])]

    scope = ", 0, socket.if_nametoindex('lo')" if host.startswith("fe80") else ""
    code = (
        f"import socket; s = socket.socket(socket.{family}); s.connect(({host!r}, {port}{scope}));"
        "print(s.recv(100).decode())"
    )
    result = inside.python(code, serve=serve)
    assert result.output == "from the firewall\n"
    own = "fd00::2" if ":" in plain(host) else "10.0.0.2"
    assert result.served == [plain(host), port, own]


@pytest.mark.parametrize(
    ("family", "host"), [("AF_INET", "203.0.113.5"), ("AF_INET6", "2001:db8::5")]
)
def test_udp_arrives_and_is_answered(inside: Inside, family: str, host: str) -> None:
    def serve(sandbox: Sandbox) -> list[Any]:
        sandbox.udp.settimeout(PATIENCE)
        data, ancillary, _, peer = sandbox.udp.recvmsg(100, 200)
        [(_, kind, original)] = ancillary
        with sandbox.open_udp((host, 53), socket.AddressFamily[family]) as answers:
            answers.sendto(b"answer to " + data, (plain(peer[0]), peer[1]))
        return [kind, int.from_bytes(original[2:4], "big")]

    code = (
        f"import socket; s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.settimeout(60);"
        f"s.sendto(b'question', ({host!r}, 53)); d, a = s.recvfrom(100); print(d.decode(), a[0])"
    )
    result = inside.python(code, serve=serve)
    assert result.output == f"answer to question {host}\n"
    kind = IP_RECVORIGDSTADDR if family == "AF_INET" else IPV6_RECVORIGDSTADDR
    assert result.served == [kind, 53]


def test_an_address_that_is_taken_is_refused_and_the_broker_lives(inside: Inside) -> None:
    def serve(sandbox: Sandbox) -> list[Any]:
        try:
            sandbox.open_udp(("2001:db8::1", 53), socket.AF_INET)
        except OSError as error:
            first = str(error)
        with sandbox.open_udp(("203.0.113.1", 53), socket.AF_INET) as made:
            return [first, made.getsockname()[0]]

    refused, made = inside.meanwhile(serve)
    assert "Address family" in refused
    assert made == "203.0.113.1"


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(inside: Inside) -> None:
    def serve(sandbox: Sandbox) -> list[str]:
        channel.send(sandbox._requests, "udp", 0, "203.0.113.1", 53, int(socket.AF_INET))
        hosts = ("203.0.113.2", "203.0.113.3")
        found = []
        for host in hosts:
            with sandbox.open_udp((host, 53), socket.AF_INET) as made:
                found.append(made.getsockname()[0])
        return found

    assert inside.meanwhile(serve) == ["203.0.113.2", "203.0.113.3"]


def test_loopback_inside_works(inside: Inside) -> None:
    code = """
import socket
for host in ("127.0.0.1", "127.9.9.9", "10.0.0.2", "::1", "fd00::2"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2])
    served, _ = server.accept()
    served.sendall(host.encode())
    print(client.recv(100).decode())
"""
    assert inside.python(code).output.split() == [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.2",
        "::1",
        "fd00::2",
    ]


def test_the_listener_is_not_reached_without_a_destination(inside: Inside) -> None:
    """Reached directly, it would take its own address, the loopback one, for the destination."""

    def serve(sandbox: Sandbox) -> Any:
        accept(sandbox)[0].sendall(str(sandbox.tcp.getsockname()[1]).encode())
        return accept(sandbox)[0].getsockname()[1]

    code = """
import socket
port = int(socket.create_connection(("203.0.113.1", 1)).recv(10))
for host in ("127.0.0.1", "::1", "10.0.0.2", "fd00::2"):
    try:
        socket.create_connection((host, port), timeout=0.3)
        print("reached", host)
    except TimeoutError:
        print("dropped")
socket.create_connection(("203.0.113.1", 2))
"""
    result = inside.python(code, serve=serve)
    assert (result.served, result.output) == (2, "dropped\n" * 4), "only the last one came"


def test_icmp_goes_nowhere(inside: Inside) -> None:
    code = """
import socket
for family, protocol in ((socket.AF_INET, 1), (socket.AF_INET6, 58)):
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind, protocol)
            print("made")
        except PermissionError:
            print("refused")
"""
    assert inside.python(code).output == "refused\n" * 4


def test_the_actor_is_found(inside: Inside) -> None:
    before = time.time()

    def serve(sandbox: Sandbox) -> list[Any]:
        finder = ActorFinder("test", sandbox.pid, sandbox.namespace, sandbox.diag)
        flows = []
        kept = []
        for _ in range(3):
            flow, peer = accept(sandbox)
            kept.append(flow)
            flows.append((peer, flow.getsockname()))
        sandbox.udp.settimeout(PATIENCE)
        _, _, _, peer = sandbox.udp.recvmsg(100, 200)
        actors = finder.find(flows) + finder.find([(peer, ("203.0.113.7", 53))], "udp")
        gone = finder.find([(("10.0.0.2", 1), ("203.0.113.9", 2))])[0]
        return [
            *(
                [a.process.argv[0], a.process.uid, len(a.ancestors), a.process.started]
                for a in actors
                if a.process
            ),
            [gone.process, gone.unknown],
        ]

    code = """
import socket, time
a = socket.create_connection(("203.0.113.1", 1))
b = socket.create_connection(("2001:db8::1", 1))
c = socket.socket(socket.AF_INET6); c.connect(("::ffff:203.0.113.2", 2))
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.sendto(b"", ("203.0.113.7", 53))
a.recv(1)  # which ends with the firewall's part
"""
    result = inside.run("sh", "-c", f"{PYTHON} -c '{code}'; true", serve=serve)
    *found, gone = result.served
    assert len(found) == 4
    for name, user, ancestors, started in found:
        assert (name, user, ancestors) == (PYTHON, USER, 2)
        assert before - 1 < started < time.time() + 1
    assert gone[0] is None
    assert "no such socket" in gone[1]


def test_a_socket_that_was_handed_on_belongs_to_who_opened_it(inside: Inside) -> None:
    def serve(sandbox: Sandbox) -> list[Any]:
        finder = ActorFinder("test", sandbox.pid, sandbox.namespace, sandbox.diag)
        flow, peer = accept(sandbox)
        flow.recv(1)
        [actor] = finder.find([(peer, flow.getsockname())])
        assert actor.process
        return list(actor.process.argv)

    code = (
        "import os, socket, subprocess, sys;"
        "s = socket.create_connection(('203.0.113.1', 1)); os.set_inheritable(s.fileno(), True);"
        "p = subprocess.Popen(['sleep', '300'], close_fds=False); s.sendall(b'x'); s.recv(1);"
        "p.kill(); p.wait()"
    )
    assert inside.python(code, serve=serve).served[0] == PYTHON


def test_programs_cannot_hide_from_the_firewall(inside: Inside) -> None:
    """Neither by asking not to be read, nor by a name that looks like fields of /proc."""
    before = time.time()

    def serve(sandbox: Sandbox) -> str:
        finder = ActorFinder("test", sandbox.pid, sandbox.namespace, sandbox.diag)
        flow, peer = accept(sandbox)
        [actor] = finder.find([(peer, flow.getsockname())])
        assert actor.process
        assert before - 1 < actor.process.started < time.time() + 1
        return actor.unknown or actor.program

    code = """
import ctypes, socket, time
libc = ctypes.CDLL(None)
print(libc.prctl(4, 0, 0, 0, 0))
libc.prctl(15, b"x) Z 0 (", 0, 0, 0)
socket.create_connection(("203.0.113.1", 1)).recv(1)
"""
    result = inside.python(code, serve=serve)
    assert result.output == "0\n"
    assert result.served.startswith("/usr/bin/python3")


@pytest.mark.parametrize(
    "arguments",
    [
        "socket.AF_INET, socket.SOCK_STREAM, 262",  # MPTCP
        "socket.AF_INET, socket.SOCK_STREAM, 132",  # SCTP
        "socket.AF_INET6, socket.SOCK_STREAM, 132",
        "socket.AF_INET, socket.SOCK_DGRAM, 136",  # UDP-Lite
        "socket.AF_INET, socket.SOCK_STREAM, 256",  # SMC
    ],
)
def test_other_transports_do_not_exist(inside: Inside, arguments: str) -> None:
    code = f"""
import socket
try:
    socket.socket({arguments})
except OSError as error:
    print(error.errno)
"""
    assert inside.python(code).output == f"{errno.EPROTONOSUPPORT}\n"
