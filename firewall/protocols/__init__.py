"""Recognise what bytes speak, and what they must not carry.

Sans-I/O: bytes in, answers out. Every recogniser gives the same answer whether it is fed whole or
byte by byte, is bounded in memory and time, and raises on no input.

`identify` names the protocol of a flow's first bytes; `Watch` follows one direction of an open
stream for its whole life; `inspect_request` judges an HTTP head and `inspect_question` a DNS
question. `http1` and `socks` also serve the explicit proxy's clients, and `ssh` turns one away.
"""

from firewall.protocols.heads import inspect_request
from firewall.protocols.identify import identify
from firewall.protocols.identity import Identity, ProtocolError
from firewall.protocols.tunnels.dns import inspect_question
from firewall.protocols.watch import Watch

__all__ = [
    "Identity",
    "ProtocolError",
    "Watch",
    "identify",
    "inspect_question",
    "inspect_request",
]
