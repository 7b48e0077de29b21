"""Addresses as people write them, and what they are told where one cannot be served."""

import socket

import pytest

from firewall.cli.listening import host_and_port, listener


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9090", ("127.0.0.1", 9090)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9090", ("::1", 9090)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:65536", "1:-1"])
def test_a_bad_address_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write for example 127\.0\.0\.1:9090"):
        host_and_port(text)


def test_a_port_that_is_taken_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"--listen 127.0.0.1:{port} cannot be served: .*; name"):
            listener("127.0.0.1", port)
