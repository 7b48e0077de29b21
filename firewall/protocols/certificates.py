"""What a server's certificate says of itself (RFC 5280), for records and for suspicion."""

import hashlib
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

from firewall.frozen import frozen

if TYPE_CHECKING:
    from cryptography import x509

_NAMES_LIMIT = 16
_REMEMBERED = 256


@frozen
class Certificate:
    """What a server's certificate says of itself; `subject` and `issuer` as RFC 4514 writes them.

    `names` are the first of those that it is for, `self_signed` says that its issuer is itself, so
    that nobody else vouches for it, and `chain` counts the certificates that came (0: not known).
    It is valid `since` and `until` these days (UTC). `sha256` is that of its DER, as hex.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    self_signed: bool
    chain: int
    since: str
    until: str
    key: str
    sha256: str

    def is_for(self, host: str) -> bool:
        """Whether one of its names is this host's, or stands for it (RFC 9525, 6.3)."""
        wild = f"*.{host.partition('.')[2]}"
        return host in self.names or wild in self.names


@lru_cache(maxsize=_REMEMBERED)
def read_certificate(encoded: bytes, chain: int = 0) -> Certificate | None:
    """Read DER. None for what cannot be read: other parsers may be more forgiving."""
    # Not before the first certificate: few flows show one, and the import takes 30 ms.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        with warnings.catch_warnings():
            # What is odd about a server's certificate is nothing for our standard error.
            warnings.simplefilter("ignore")
            return _told(x509.load_der_x509_certificate(encoded), encoded, chain)
    except (
        ValueError,
        TypeError,
        KeyError,  # a name in a type of string that the library does not know
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return None


def _told(found: "x509.Certificate", encoded: bytes, chain: int) -> Certificate:
    subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
    return Certificate(
        subject=subject[:256],
        issuer=issuer[:256],
        names=_names(found),
        self_signed=subject == issuer,
        chain=chain,
        since=found.not_valid_before_utc.date().isoformat(),
        until=found.not_valid_after_utc.date().isoformat(),
        key=_key(found),
        sha256=hashlib.sha256(encoded).hexdigest(),
    )


def _key(found: "x509.Certificate") -> str:
    """Its kind and size, such as "RSA 2048" or "EC 256"; of a curve that has one size its name."""
    key = found.public_key()
    kind = type(key).__name__.strip("_").removesuffix("PublicKey")
    kind = "EC" if kind.startswith("EllipticCurve") or kind == "EC" else kind
    size = getattr(key, "key_size", None)
    return f"{kind} {size}" if size is not None else kind


def _names(found: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.UnsupportedGeneralNameType):
        return ()
    names = extension.value.get_values_for_type(x509.DNSName)
    return tuple(name[:253].lower() for name in names[:_NAMES_LIMIT])
