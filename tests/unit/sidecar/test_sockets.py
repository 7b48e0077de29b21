"""Where the gate listens: on loopback, in each family, and nowhere else."""

import socket
from contextlib import ExitStack

import pytest

from firewall.sidecar import sockets


@pytest.fixture
def any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("TCP_PORT", "DNS_PORT", "UDP_PORT"):
        monkeypatch.setattr(sockets, each, 0)


@pytest.mark.usefixtures("any_port")
def test_each_family_has_its_own_on_loopback() -> None:
    hosts = [host for _, host in sockets._families()]
    assert hosts[0] == "127.0.0.1"
    with sockets.opened() as listeners:
        assert [each.getsockname()[0] for each in listeners.tcp] == hosts
        assert [each.getsockname()[0] for each, _ in listeners.udp] == [
            host for host in hosts for _ in range(2)
        ]
    assert all(each.fileno() < 0 for each in listeners.tcp)


@pytest.mark.usefixtures("any_port")
def test_a_question_is_one_wherever_it_was_sent() -> None:
    with (
        sockets.opened() as listeners,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        client.connect(("127.0.0.1", 5353))
        (_, questions), (_, others) = listeners.udp[:2]
        assert questions([], client.getsockname()) == ("127.0.0.1", 53)
        assert others([], client.getsockname()) == ("127.0.0.1", 5353)


def test_a_gate_without_rules_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(sockets, "TCP_PORT", listener.getsockname()[1])
        with pytest.raises(ValueError, match="run `firewall sidecar init` in this network first"):
            sockets.must_be_guarded()
    sockets.must_be_guarded()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ExitStack() as stack:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}, where the rules lead") as raised:
            sockets.proxies(stack, port)
    assert "does the agent keep the port?" in str(raised.value)
