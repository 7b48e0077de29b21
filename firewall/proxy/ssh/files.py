"""Which inspector a session gets."""

from collections.abc import Callable

from firewall.proxy.ssh.inspect import Inspector, Watched
from firewall.proxy.ssh.visit import Visit
from firewall.requests import SshKind


def inspector_for(
    visit: Visit, kind: SshKind, asked: str, answer: Callable[[bytes], None]
) -> Inspector:
    """SFTP and scp are read packet by packet, all else is watched."""
    return Watched(visit, "ssh session")
