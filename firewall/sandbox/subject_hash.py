"""The name under which OpenSSL looks for a certificate in a hashed directory.

`X509_NAME_hash` (openssl, crypto/x509/x509_cmp.c and x_name.c): SHA-1 over the subject in
canonical form, its first four bytes read as a little-endian number.
"""

import hashlib
import ssl
from collections.abc import Iterator

_SET, _SEQUENCE, _UTF8, _VERSION = 0x31, 0x30, 0x0C, 0xA0
_ENCODINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SUBJECT = 4


def subject_hash(pem: bytes) -> str:
    """Eight hexadecimal digits for a PEM certificate. Raises ValueError on anything else."""
    try:
        subject = _subject(ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip()))
        canonical = b"".join(_set(value) for _, value in _elements(subject))
    except IndexError as error:
        raise ValueError("this is not an X.509 certificate") from error
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and value of each DER element (X.690) in a row of them."""
    while data:
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        yield tag, data[start : start + length]
        data = data[start + length :]


def _subject(certificate: bytes) -> bytes:
    """The subject's value (RFC 5280 section 4.1): the fifth field after the optional version."""
    (_, whole), *_ = _elements(certificate)
    (_, signed), *_ = _elements(whole)
    fields = [value for tag, value in _elements(signed) if tag != _VERSION]
    return fields[_SUBJECT]


def _set(names: bytes) -> bytes:
    attributes = [_attribute(value) for _, value in _elements(names)]
    return _encode(_SET, b"".join(sorted(attributes)))


def _attribute(attribute: bytes) -> bytes:
    (_, kind), (tag, value) = _elements(attribute)
    if tag in _ENCODINGS:
        words = value.decode(_ENCODINGS[tag]).split(" ")
        spaced = " ".join(word for word in words if word)
        tag, value = _UTF8, _lower(spaced).encode()
    return _encode(_SEQUENCE, _encode(0x06, kind) + _encode(tag, value))


def _lower(text: str) -> str:
    """Lower case for ASCII only, as OpenSSL does it."""
    return "".join(each.lower() if each.isascii() else each for each in text)


def _encode(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes([tag, length]) + value
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + value
