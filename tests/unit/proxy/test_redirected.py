"""Where a redirected connection was going, as conntrack's answer has it."""

import socket

import pytest

from firewall.proxy.redirected import redirected_from


class Client:
    """An accepted socket whose conntrack entry is known."""

    def __init__(self, family: socket.AddressFamily, answer: bytes) -> None:
        self.family = family
        self.answer = answer
        self.asked: tuple[int, int, int] | None = None

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        self.asked = (level, option, size)
        return self.answer


def test_both_families_have_their_own_form() -> None:
    four = Client(socket.AF_INET, b"\2\0\x01\xbb" + bytes((203, 0, 113, 5)) + bytes(8))
    assert redirected_from(four) == ("203.0.113.5", 443)  # type: ignore[arg-type]
    assert four.asked == (0, 80, 16)
    address = socket.inet_pton(socket.AF_INET6, "2001:db8::5")
    six = Client(socket.AF_INET6, b"\x0a\0\x01\xbb" + bytes(4) + address + bytes(4))
    assert redirected_from(six) == ("2001:db8::5", 443)  # type: ignore[arg-type]
    assert six.asked == (41, 80, 28)


def test_what_conntrack_does_not_know_is_an_error() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(OSError, match="Protocol not available"),
    ):
        redirected_from(datagrams)
