"""Points of secp256k1."""

from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.mining.curve import is_on_curve

# SEC 2 version 2, section 2.4.1: the base point.
BASE = bytes.fromhex(
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)


def test_the_base_point_is_on_the_curve() -> None:
    assert is_on_curve(BASE)


@given(st.binary(min_size=64, max_size=64))
def test_other_bytes_are_not(data: bytes) -> None:
    assert is_on_curve(data) == (data == BASE)


def test_coordinates_beyond_the_prime_are_not() -> None:
    assert not is_on_curve(b"\xff" * 64)
