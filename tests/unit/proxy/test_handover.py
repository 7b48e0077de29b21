"""A flow's context survives the trip between processes, with its socket."""

import os
import socket
from dataclasses import replace

from firewall.actor import Actor, Process
from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.proxy.handover import Handover, Setup
from firewall.verdict import Action, Obligations, Severity, Verdict

SHELL = Process(10, 1.5, "/bin/bash", ("bash", "-c", "curl"), 1000)
CURL = Process(11, 2.5, "/usr/bin/curl", ("curl", "https://a.test"), 1000)
HANDOVER = Handover(
    kind="intercept",
    flow=7,
    client=("10.0.0.2", 40000),
    host="a.test",
    port=443,
    address="192.0.2.1",
    protocol="tls",
    sni="a.test",
    actor=Actor("run-1", CURL, (SHELL,), namespace=4026531840),
    verdict=Verdict(
        Action.ALLOW, "a", "because", Severity.INFO, obligations=Obligations("passthrough")
    ),
)


def test_a_flow_arrives_as_it_was_sent_with_its_socket() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left, right = socket.socketpair()
    with ours, theirs, left, right:
        handover.send(ours, "flow", handover.encode(HANDOVER), (right.fileno(),))
        received = handover.receive(theirs)
        assert received is not None
        kind, body, (descriptor,) = received
        assert kind == "flow"
        assert handover.decode(body) == HANDOVER
        with socket.socket(fileno=descriptor) as moved:
            left.send(b"through")
            assert moved.recv(10) == b"through"


def test_a_setup_larger_than_a_message_arrives_whole() -> None:
    deeds = (Deed("upload", "a.test", 5.0),)
    setup = Setup("p" * 2_000_000, "/log", "depth-0", "/authority", "/bundle.pem", deeds=deeds)
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        handover.send_setup(ours, setup)
        received = handover.receive(theirs)
        assert received is not None
        assert (received[0], handover.decode_setup(received[1]), received[2]) == (
            "setup",
            setup,
            [],
        )
        assert len(os.listdir("/proc/self/fd")) <= before + 2, "the memory file is closed"


def test_a_large_flow_arrives_whole_with_its_socket_alone() -> None:
    program = replace(CURL, argv=("curl", "\x01" * 100_000))
    large = replace(HANDOVER, actor=replace(HANDOVER.actor, process=program))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left, right = socket.socketpair()
    with ours, theirs, left, right:
        handover.send(ours, "flow", handover.encode(large), (right.fileno(),))
        received = handover.receive(theirs)
        assert received is not None
        assert handover.decode(received[1]) == large
        (descriptor,) = received[2]
        with socket.socket(fileno=descriptor) as moved:
            left.send(b"through")
            assert moved.recv(10) == b"through"


def test_the_end_of_the_channel_is_no_message() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.close()
        assert handover.receive(theirs) is None
