"""Java's own list of authorities: read what a machine's JDKs trust, and write a list for all.

A Java program reads no bundle of the system but the file `cacerts` of its JDK, a keystore of the
type JKS or, since JDK 18, PKCS #12 without a password. Every Java reads JKS, whatever the file's
name and the type that it expects (JDK, sun.security.provider.KeyStoreDelegator).

JKS (JDK, sun.security.provider.JavaKeyStore): all numbers big-endian,

    FEEDFEED  version: 4 bytes, 2  count: 4 bytes
    each      tag: 4 bytes, 1 a private key, 2 a certificate
              alias: 2 bytes of length and modified UTF-8    date: 8 bytes, ms since 1970
              2: type: as the alias, "X.509"  length: 4 bytes  DER
    digest    SHA-1 over the password in UTF-16, the words "Mighty Aphrodite" and all before
"""

import glob
import hashlib
import os
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

from firewall.sandbox.authority import certificates

PATTERNS = (
    "/etc/ssl/certs/java/cacerts",  # Debian, Ubuntu, Alpine
    "/etc/pki/ca-trust/extracted/java/cacerts",  # Fedora, RHEL
    "/etc/pki/java/cacerts",  # Fedora, RHEL
    "/etc/ca-certificates/extracted/java-cacerts.jks",  # Arch
    "/var/lib/ca-certificates/java-cacerts",  # SUSE
    "/usr/lib/jvm/*/lib/security/cacerts",
    "/usr/lib/jvm/*/jre/lib/security/cacerts",  # JDK 8
    "/opt/java/*/lib/security/cacerts",  # the images of Eclipse Temurin
    "/opt/jdk*/lib/security/cacerts",
)
_PASSWORD = b"changeit"  # every JDK's, and no secret
_KEYED = b"".join(b"\0%c" % each for each in _PASSWORD)
"""In UTF-16, whose codec would be imported only now, when a sandbox's user may not reach it."""
_SALT = b"Mighty Aphrodite"
_MAGIC = b"\xfe\xed\xfe\xed"
_VERSION = 2
_CERTIFICATE = 2


def stores_found(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The real paths of the lists of this machine's JDKs, `JAVA_HOME` included, each once."""
    home = glob.escape(environment.get("JAVA_HOME", ""))
    own = [f"{home}/lib/security/cacerts", f"{home}/jre/lib/security/cacerts"] if home else []
    found = [path for pattern in (*PATTERNS, *own) for path in glob.glob(pattern)]
    return tuple(dict.fromkeys(os.path.realpath(each) for each in found if os.path.isfile(each)))


def authorities(store: bytes) -> bytes:
    """The certificates (PEM) that a keystore trusts; none of one that cannot be read."""
    found = list(_entries(store)) if store.startswith(_MAGIC) else _of_pkcs12(store)
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode()


def write(bundle: bytes) -> bytes:
    """A keystore that trusts every certificate of a PEM bundle, with the password of every JDK."""
    ders = list(_ders(bundle))
    data = struct.pack(">4sII", _MAGIC, _VERSION, len(ders)) + b"".join(
        map(_entry, enumerate(ders))
    )
    digest = hashlib.sha1(_KEYED + _SALT + data)  # noqa: S324 - the format's
    return data + digest.digest()


def _ders(bundle: bytes) -> Iterator[bytes]:
    for each in certificates(bundle):
        with suppress(ValueError):  # no base64: others pass over it as well
            yield ssl.PEM_cert_to_DER_cert(each.decode())


def _entry(numbered: tuple[int, bytes]) -> bytes:
    number, der = numbered
    alias = f"authority-{number}".encode()
    return (
        struct.pack(f">IH{len(alias)}sq", _CERTIFICATE, len(alias), alias, 0)
        + struct.pack(">H5sI", 5, b"X.509", len(der))
        + der
    )


def _entries(store: bytes) -> Iterator[bytes]:
    """The certificates of a JKS, up to where it is cut or a private key comes."""
    with suppress(struct.error):
        (count,) = struct.unpack_from(">I", store, 8)
        place = 12
        for _ in range(count):
            tag, alias = struct.unpack_from(">IH", store, place)
            (kind,) = struct.unpack_from(">H", store, place + 14 + alias)
            place += 16 + alias + kind
            (size,) = struct.unpack_from(">I", store, place)
            (der,) = struct.unpack_from(f"{size}s", store, place + 4)
            if tag != _CERTIFICATE:
                return
            yield der
            place += 4 + size


def _of_pkcs12(store: bytes) -> list[bytes]:
    # Imported only here: it takes a tenth of a second, and only newer JDKs' own lists need it.
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    for password in (None, _PASSWORD):
        with suppress(ValueError):
            found = pkcs12.load_pkcs12(store, password).additional_certs
            return [each.certificate.public_bytes(Encoding.DER) for each in found]
    return []
