"""Recognise what bytes speak, and what they must not carry.

Sans-I/O: bytes in, answers out. Every recogniser gives the same answer whether it is fed whole or
byte by byte, is bounded in memory and time, and raises on no input.

`identify` names the protocol of a flow's first bytes and `identify_datagram` that of UDP's; `Watch`
follows one direction of an open stream for its whole life and `Conversation` both;
`inspect_request` and `inspect_response` judge an HTTP head, `inspect_question` a DNS question, and
`Questions` how many of them go to one domain. `Shape` scores flows that cannot be read. `mining/`
and `tunnels/` hold what is known of each dialect. `http1` and `socks` also serve the explicit
proxy's clients, and `ssh` turns one away.

`sftp` and `scp` follow file transfers, whose shape `files` has. They stand in the stream's way,
so they do raise: ProtocolError, for what must not be passed on.
"""

from firewall.protocols.conversation import Conversation
from firewall.protocols.heads import inspect_request, inspect_response
from firewall.protocols.identify import identify
from firewall.protocols.identity import Identity, ProtocolError
from firewall.protocols.shape import Shape
from firewall.protocols.tunnels.datagrams import identify_datagram
from firewall.protocols.tunnels.dns import Questions, inspect_question
from firewall.protocols.watch import Watch

__all__ = [
    "Conversation",
    "Identity",
    "ProtocolError",
    "Questions",
    "Shape",
    "Watch",
    "identify",
    "identify_datagram",
    "inspect_question",
    "inspect_request",
    "inspect_response",
]
