"""The other end of a connected socket, from the kernel itself and from any bytes."""

import os
import socket
import struct
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.sidecar import peers
from firewall.sidecar.peers import Peers


@pytest.mark.parametrize(
    ("family", "host", "shown"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_connected_socket_tells_where_to(
    family: socket.AddressFamily, host: str, shown: str
) -> None:
    if family == socket.AF_INET6 and not os.path.exists("/proc/sys/net/ipv6"):
        pytest.skip("the kernel has no IPv6")
    with closing(Peers()) as known, socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((host, 4433))
        assert known.of((shown, client.getsockname()[1])) == (shown, 4433)


def test_of_a_socket_that_is_not_connected_nothing_is_known() -> None:
    with closing(Peers()) as known, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        assert known.of(client.getsockname()) == ("0.0.0.0", 0)
    with closing(Peers()) as known:
        assert known.of(("::1", 9)) == ("::", 0)


def test_the_question_is_of_one_port() -> None:
    body = peers.request(socket.AF_INET6, 40000)
    assert len(body) == 56
    assert body[:2] == bytes([socket.AF_INET6, socket.IPPROTO_UDP])
    assert struct.unpack_from("!HH", body, 8) == (40000, 0)


@given(st.binary(min_size=40, max_size=80))
def test_both_ends_are_endpoints_whatever_the_kernel_says(body: bytes) -> None:
    for host, port in peers.ends(body):
        assert socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
