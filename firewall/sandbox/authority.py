"""The firewall's own certificate authority, made once and kept where only the firewall reads.

The layout is that of mitmproxy's CertStore (mitmproxy/certs.py): `mitmproxy-ca.pem` holds the
private key and the certificate, `mitmproxy-ca-cert.pem` the certificate alone. Beside them lies
the authority of SSH host keys, as `ssh-keygen` would write it.
"""

import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from firewall.frozen import frozen
from firewall.sandbox.errors import SandboxError

_FILE = "mitmproxy-ca.pem"
_PUBLIC_FILE = "mitmproxy-ca-cert.pem"
_SSH_FILES = ("ssh-ca", "ssh-host")
"""The key that signs the gateway's host certificates, and the one that they are for."""
_NAME = "agent-firewall"
_VALID = timedelta(days=3650)
_CLOCK_SKEW = timedelta(days=2)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates(text: bytes) -> list[bytes]:
    """The PEM certificates in a text, and nothing else of it (no comments, no keys)."""
    return [match.group() for match in _CERTIFICATE.finditer(text)]


@frozen
class Authority:
    """A folder that CertStore.from_store loads, and what clients must trust.

    `pem` is the certificate, `ssh` the public key that signs the gateway's SSH host keys, as a
    line of ssh-keygen's.
    """

    directory: Path
    pem: bytes
    ssh: str

    @classmethod
    def ensure(cls, directory: Path) -> "Authority":
        """Load the authority in `directory`, making it first if there is none.

        Raises SandboxError when others can read the key or the file holds no certificate.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / _FILE
        _only_owner(directory, "0700")
        if not path.exists():
            _place(path, _create())
        _only_owner(path, "0600")
        found = certificates(path.read_bytes())
        if not found:
            raise SandboxError(f"{path} holds no certificate; delete it and a new one is made")
        pem = found[0] + b"\n"
        public = directory / _PUBLIC_FILE
        if not public.exists() or public.read_bytes() != pem:
            public.unlink(missing_ok=True)
            _place(public, pem)
        return cls(directory, pem, _ensure_ssh(directory))

    @classmethod
    def adopt(cls, directory: Path, given: Path) -> None:
        """Make the authority in `given`, as tls.crt and tls.key, that of `directory`.

        These are the names of a Kubernetes Secret of the type kubernetes.io/tls; where it is
        optional and there is none, nothing is done. Raises SandboxError where they are no
        authority, or do not belong together.
        """
        key, certificate = given / "tls.key", given / "tls.crt"
        if not (key.exists() or certificate.exists()):
            return
        pem = _given(key, certificate)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / _FILE
        if not path.exists() or path.read_bytes() != pem:
            path.unlink(missing_ok=True)
            _place(path, pem)


def _given(key: Path, certificate: Path) -> bytes:
    """Both in one text, as `_create` makes it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtensionOID

    wanted = f"{certificate} and {key} must be the certificate and the key of an authority"
    try:
        secret = serialization.load_pem_private_key(key.read_bytes(), None)
        shown = x509.load_pem_x509_certificate(certificate.read_bytes())
        limits = shown.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise SandboxError(f"{wanted}: {error}") from error
    if secret.public_key() != shown.public_key():
        raise SandboxError(f"{wanted}: this key is of another certificate")
    if not (isinstance(limits, x509.BasicConstraints) and limits.ca):
        raise SandboxError(f"{wanted}: this certificate is none (basicConstraints, CA:TRUE)")
    private = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return private + shown.public_bytes(serialization.Encoding.PEM)


def _ensure_ssh(directory: Path) -> str:
    """The public key of the authority of SSH host keys; its files are made if there are none."""
    for name in _SSH_FILES:
        path, public = directory / name, directory / f"{name}.pub"
        if not path.exists():
            _place(path, _create_ssh())
        _only_owner(path, "0600")
        if not public.exists():
            _place(public, _public_ssh(path.read_bytes()))
    return (directory / f"{_SSH_FILES[0]}.pub").read_text().strip()


def _create_ssh() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _public_ssh(private: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_ssh_private_key(private, None).public_key()
    form = serialization.PublicFormat.OpenSSH
    return key.public_bytes(serialization.Encoding.OpenSSH, form) + f" {_NAME}\n".encode()


def _only_owner(path: Path, mode: str) -> None:
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise SandboxError(
            f"{path} can be read by others, and whoever has this key can read the agent's"
            f" traffic; delete it, or write: chmod {mode} {path}"
        )


def _place(path: Path, text: bytes) -> None:
    """Write a private file whole; if another process was faster, its file stays."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def _create() -> bytes:
    """A key (EC P-256) and its self-signed certificate, as PEM."""
    # Imported only here: it takes a tenth of a second, and a CA is made once.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return private + _certificate(key)


def _certificate(key: object) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    attributes = [(NameOID.COMMON_NAME, _NAME), (NameOID.ORGANIZATION_NAME, _NAME)]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)
