"""The gateway's own host keys: one key, and for every host a certificate that says it is that host.

OpenSSH PROTOCOL.certkeys. Clients in the sandbox trust the authority by one line of known_hosts.
"""

import time
from collections import OrderedDict
from pathlib import Path

import asyncssh

KEPT = 1024
"""Hosts whose certificates are kept."""
_VALID_SECONDS = 7 * 86400
_CLOCK_SKEW = 300


class HostKeys:
    """Makes host certificates. Raises OSError where the authority's keys cannot be read."""

    def __init__(self, authority: Path) -> None:
        self._authority = asyncssh.read_private_key(authority / "ssh-ca")
        self._key = asyncssh.read_private_key(authority / "ssh-host")
        self._kept: OrderedDict[str, tuple[float, asyncssh.SSHCertificate]] = OrderedDict()

    def of(self, host: str) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """The key and the certificate by which the gateway is this host."""
        made, certificate = self._kept.get(host, (0.0, None))
        if certificate is None or time.time() - made > _VALID_SECONDS / 2:
            certificate = self._certify(host)
            self._kept[host] = (time.time(), certificate)
        self._kept.move_to_end(host)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._key, certificate

    def _certify(self, host: str) -> asyncssh.SSHCertificate:
        now = int(time.time())
        return self._authority.generate_host_certificate(
            self._key,
            f"agent-firewall for {host}",
            principals=[host],
            valid_after=now - _CLOCK_SKEW,
            valid_before=now + _VALID_SECONDS,
        )
