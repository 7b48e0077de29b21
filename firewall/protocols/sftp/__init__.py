"""SFTP version 3, as OpenSSH speaks it: which files are asked for, and by which packet.

Sources: draft-ietf-secsh-filexfer-02; for the extensions and the order of a symlink's paths
OpenSSH's PROTOCOL and sftp-server.c; draft-ietf-secsh-filexfer-extensions-00 for `copy-data` and
`home-directory`.
"""

from firewall.protocols.sftp.session import Session
from firewall.protocols.sftp.wire import denied

__all__ = ["Session", "denied"]
