"""Recognise what bytes speak, and what they must not carry.

Sans-I/O: bytes in, answers out. Every recogniser gives the same answer whether it is fed whole or
byte by byte, is bounded in memory and time, and raises on no input.

`identify` names the protocol of a flow's first bytes; `Watch` follows one direction of an open
stream for its whole life; `inspect_request` judges an HTTP head and `inspect_question` a DNS
question. `http1` and `socks` also serve the explicit proxy's clients, and `ssh` turns one away.

`sftp` and `scp` follow file transfers, whose shape `files` has. They stand in the stream's way,
so they do raise: ProtocolError, for what must not be passed on.
"""

from firewall.protocols.dns import inspect_question
from firewall.protocols.identify import identify
from firewall.protocols.identity import Identity, ProtocolError
from firewall.protocols.upgrades import inspect_request
from firewall.protocols.watch import Watch

__all__ = [
    "Identity",
    "ProtocolError",
    "Watch",
    "identify",
    "inspect_question",
    "inspect_request",
]
