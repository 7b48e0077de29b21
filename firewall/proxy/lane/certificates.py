"""Certificates for the names that clients ask for, signed by the firewall's own authority.

One key (EC P-256) serves all of them, made anew by each process, so that a name costs one
signature; each name's TLS context is kept, and with it the sessions that clients resume.
"""

import ipaddress
import logging
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

logger = logging.getLogger(__name__)

KEPT_NAMES = 1024
"""A rule for a whole domain lets an agent ask for any number of names."""
VALID = timedelta(days=30)
CLOCK_SKEW = timedelta(days=2)
COMMON_NAME_LIMIT = 64
"""RFC 5280, appendix A.1: ub-common-name."""

type Certified = Callable[[ssl.SSLContext | None, str], None]
"""Called with a name's TLS context, or with None and the reason."""


class Certificates:
    """TLS contexts by name. `authority` is the folder that sandbox.Authority keeps."""

    def __init__(self, authority: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self._path = authority / "mitmproxy-ca.pem"
        self._post = post
        self._kept: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._waiting: dict[str, list[Certified]] = {}
        self._worker: ThreadPoolExecutor | None = None
        self._mint: _Mint | None = None

    def context(self, name: str, done: Certified) -> None:
        """Find or make a name's context; on the loop's thread only. `done` runs there too."""
        if (known := self._kept.get(name)) is not None:
            self._kept.move_to_end(name)
            done(known, "")
        elif name in self._waiting:
            self._waiting[name].append(done)
        else:
            self._waiting[name] = [done]
            # A thread, because what signs takes a tenth of a second to import.
            self._worker = self._worker or ThreadPoolExecutor(1, "certificates")
            self._worker.submit(self._make, name)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)

    def _make(self, name: str) -> None:
        context, reason = None, ""
        try:
            self._mint = self._mint or _Mint(self._path.read_bytes())
            context = _server_context(self._mint.certify(name))
        except Exception as error:
            logger.exception("no certificate for %s", name)
            reason = f"no certificate can be made for {name}: {error}"
        self._post(lambda: self._made(name, context, reason))

    def _made(self, name: str, context: ssl.SSLContext | None, reason: str) -> None:
        if context is not None:
            self._kept[name] = context
            if len(self._kept) > KEPT_NAMES:
                self._kept.popitem(last=False)
        for done in self._waiting.pop(name, []):
            done(context, reason)


def _server_context(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 1
    _load(context, pem)
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """The ssl module reads certificates from files alone; this one exists in memory only."""
    with os.fdopen(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


class _Mint:
    """Signs certificates. `pem` is the authority's key and certificate."""

    def __init__(self, pem: bytes) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        signer = form.load_pem_private_key(pem, None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TypeError("the authority's key is neither EC nor RSA")
        self._signer = signer
        self._issuer = x509.load_pem_x509_certificate(pem)
        self._key = ec.generate_private_key(ec.SECP256R1())
        form_of = (form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        self._key_pem = self._key.private_bytes(*form_of)

    def certify(self, name: str) -> bytes:
        """The key and a certificate for a name or an IP address, as PEM."""
        from cryptography.hazmat.primitives import hashes, serialization

        certificate = self._builder(name).sign(self._signer, hashes.SHA256())
        return self._key_pem + certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, name: str) -> "x509.CertificateBuilder":
        """As mitmproxy's dummy_cert makes them (mitmproxy/certs.py)."""
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        short = [name] if len(name) < COMMON_NAME_LIMIT else []
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in short])
        now = datetime.now(UTC)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.SubjectAlternativeName([_general_name(name)]), not short),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (self._issuer_key(), False),
        ]
        builder = (
            x509.CertificateBuilder(self._issuer.subject, subject, self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + VALID, self._issuer.not_valid_after_utc))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder

    def _issuer_key(self) -> "x509.AuthorityKeyIdentifier":
        from cryptography import x509

        kind = x509.SubjectKeyIdentifier
        own = self._issuer.extensions.get_extension_for_class(kind).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
