"""What a certificate says of itself: read whole, and whatever it holds."""

import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols.certificates import read_certificate
from tests.unit.protocols.test_tlsserver import certificate

DER = ssl.PEM_cert_to_DER_cert(
    certificate("CN=a.test", "CN=Some CA", "a.test", "*.B.test").decode()
)


def test_all_that_it_says_is_read() -> None:
    seen = read_certificate(DER, 2)
    assert seen is not None
    assert (seen.subject, seen.issuer, seen.names) == (
        "CN=a.test", "CN=Some CA", ("a.test", "*.b.test"),
    )  # fmt: skip
    assert (seen.self_signed, seen.chain, seen.key) == (False, 2, "EC 256")
    assert (seen.since, seen.until) == ("2026-01-01", "2030-01-01")
    assert len(bytes.fromhex(seen.sha256)) == 32


@pytest.mark.parametrize(
    ("host", "is_for"),
    [("a.test", True), ("x.b.test", True), ("b.test", False), ("x.y.b.test", False), ("", False)],
)
def test_it_is_for_its_names_and_what_they_stand_for(host: str, is_for: bool) -> None:
    seen = read_certificate(DER)
    assert seen is not None
    assert seen.is_for(host) is is_for


@example(14, 128, b"")  # a serial number below zero
@given(st.integers(0, len(DER) - 1), st.integers(1, 255), st.binary(max_size=40))
def test_no_bytes_make_it_raise(at: int, change: int, data: bytes) -> None:
    read_certificate(data)
    read_certificate(DER[:at] + bytes([DER[at] ^ change]) + DER[at + 1 :])
    read_certificate(DER[:at] + data)
