"""OpenVPN's hard resets, by the kinds of protection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.tunnels.openvpn import is_hard_reset

SESSION = b"\x9a\x1b\x2c\x3d\x4e\x5f\x60\x71"
REPLAY = b"\0\0\0\1\x66\x00\x00\x00"
PLAIN = b"\x38" + SESSION + bytes(5)


@pytest.mark.parametrize(
    "packet",
    [
        PLAIN,
        b"\x38" + SESSION + b"\xaa" * 20 + REPLAY + bytes(5),
        b"\x38" + SESSION + b"\xaa" * 32 + REPLAY + bytes(5),
        b"\x38" + SESSION + b"\xaa" * 64 + REPLAY + bytes(5),
        b"\x38" + SESSION + REPLAY + b"\xaa" * 37,
        b"\x50" + SESSION + REPLAY + b"\xaa" * 300,
    ],
    ids=["plain", "tls-auth sha1", "tls-auth sha256", "tls-auth sha512", "tls-crypt", "v2"],
)
def test_hard_resets(packet: bytes) -> None:
    assert is_hard_reset(packet)
    assert not is_hard_reset(packet[:13])
    assert not is_hard_reset(b"\x39" + packet[1:])


@pytest.mark.parametrize(
    "packet",
    [b"", b"8", b"8" * 14, b"8ball, are we there yet?", b"\x38" + SESSION + b"\xaa" * 45],
)
def test_others(packet: bytes) -> None:
    assert not is_hard_reset(packet)


@given(st.binary(max_size=100))
def test_raises_on_nothing(packet: bytes) -> None:
    assert is_hard_reset(packet) in (True, False)
