"""Compared with OpenSSL itself, which pyOpenSSL asks."""

import base64
import datetime
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

from firewall.sandbox.authority import certificates
from firewall.sandbox.subject_hash import subject_hash
from firewall.sandbox.trust import bundles_found

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*attributes: x509.NameAttribute[str]) -> bytes:
    name = x509.Name(attributes)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def openssl(pem: bytes) -> str:
    loaded = crypto.load_certificate(crypto.FILETYPE_PEM, pem)
    return f"{loaded.subject_name_hash():08x}"


@pytest.mark.parametrize(
    "attributes",
    [
        [(NameOID.COMMON_NAME, "agent-firewall", _ASN1Type.UTF8String)],
        [(NameOID.COMMON_NAME, "  Two   Words ", _ASN1Type.UTF8String)],
        [(NameOID.COMMON_NAME, "ÄÖ Straße", _ASN1Type.UTF8String)],
        [(NameOID.COMMON_NAME, "ÄÖ Wide", _ASN1Type.BMPString)],
        [(NameOID.COUNTRY_NAME, "DE", _ASN1Type.PrintableString)],
        [
            (NameOID.COMMON_NAME, "Name", _ASN1Type.PrintableString),
            (NameOID.ORGANIZATION_NAME, "O" * 60, _ASN1Type.UTF8String),
        ],
    ],
)
def test_names(attributes: list[tuple[x509.ObjectIdentifier, str, _ASN1Type]]) -> None:
    pem = certificate(*(x509.NameAttribute(oid, text, kind) for oid, text, kind in attributes))
    assert subject_hash(pem) == openssl(pem)


def test_every_authority_of_this_machine() -> None:
    found = bundles_found()
    if not found:
        pytest.skip("this machine has no bundle of authorities")
    with open(found[0], "rb") as file:
        pems = certificates(file.read())
    assert len(pems) > 10
    assert [subject_hash(pem) for pem in pems] == [openssl(pem) for pem in pems]


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        subject_hash(data)
    armoured = base64.encodebytes(data)
    pem = b"-----BEGIN CERTIFICATE-----\n" + armoured + b"-----END CERTIFICATE-----\n"
    with suppress(ValueError):
        assert len(subject_hash(pem)) == 8
