"""Where programs look for the authorities they trust, and what they must find there instead."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from firewall.frozen import frozen
from firewall.sandbox import browsers, keystore
from firewall.sandbox.authority import certificates
from firewall.sandbox.environment import BUNDLE_VARIABLES
from firewall.sandbox.subject_hash import subject_hash

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/cert.pem",  # Fedora, RHEL
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",  # Arch
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/var/lib/ca-certificates/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, Arch
    "/usr/lib/ssl/cert.pem",  # Debian's OpenSSL
)
SSH_DIRECTORY = "/etc/ssh"
KNOWN_HOSTS = "ssh_known_hosts"
"""Where OpenSSH looks for the host keys of everybody (ssh_config(5), GlobalKnownHostsFile)."""
HASHED = (
    "/etc/ssl/certs",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/directory-hash",  # Fedora
    "/var/lib/ca-certificates/openssl",  # SUSE
)


@frozen
class Trust:
    """What to put where: `merged` over each of `files`, and `ca` into each of `directories`.

    `hashed` is the file name under which OpenSSL looks for `ca` in a directory. `keystore` goes
    over each of `stores`, which are Java's. `policies` are files to add for browsers, by their
    paths. `known_hosts` goes where OpenSSH looks for the keys of all hosts; empty where there is no
    authority of them.
    """

    merged: bytes
    ca: bytes
    hashed: str
    files: tuple[str, ...]
    directories: tuple[str, ...]
    keystore: bytes
    stores: tuple[str, ...]
    policies: Mapping[str, bytes]
    known_hosts: bytes = b""


def bundles_found(candidates: Sequence[str] = BUNDLES) -> tuple[str, ...]:
    """The real paths of this machine's bundles, each once."""
    return tuple(dict.fromkeys(os.path.realpath(each) for each in candidates if _is_file(each)))


def plan(ca: bytes, environment: Mapping[str, str], ssh_ca: str = "") -> Trust:
    """Merge the system's bundles, those that `environment` names, and `ca`; and Java's with `ca`.

    `ssh_ca` is the public key of the authority of SSH host keys.

    Raises ValueError when `ca` is not a PEM certificate.
    """
    files = bundles_found()
    private = [environment[name] for name in BUNDLE_VARIABLES if name in environment]
    sources = [*files, *(path for path in private if _is_file(path))]
    stores = tuple(filter(_is_file, keystore.stores_found(environment)))
    directories = dict.fromkeys(os.path.realpath(each) for each in HASHED if os.path.isdir(each))
    return Trust(
        merged=merge([Path(path).read_bytes() for path in dict.fromkeys(sources)], ca),
        ca=ca,
        hashed=subject_hash(ca),
        files=files,
        directories=tuple(directories),
        keystore=_keystore(stores, ca),
        stores=stores,
        policies=browsers.policies(ca),
        known_hosts=_known_hosts(ssh_ca) if ssh_ca else b"",
    )


def _keystore(stores: Sequence[str], ca: bytes) -> bytes:
    """Apart from the system's: a JDK may trust an authority that the system no longer does."""
    found = [keystore.authorities(Path(path).read_bytes()) for path in stores]
    return keystore.write(merge(found, ca))


def _known_hosts(ssh_ca: str) -> bytes:
    """The system's list of host keys, and that the firewall's authority vouches for every host.

    sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": the marker @cert-authority.
    """
    own = Path(SSH_DIRECTORY, KNOWN_HOSTS)
    before = own.read_bytes() if _is_file(str(own)) else b""
    return before + f"\n@cert-authority * {ssh_ca}\n".encode()


def merge(bundles: Sequence[bytes], ca: bytes) -> bytes:
    """One bundle of every certificate in `bundles` and of `ca`, each once."""
    found = [each for bundle in [*bundles, ca] for each in certificates(bundle)]
    return b"\n".join(dict.fromkeys(found)) + b"\n"


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)
