"""Messages between the firewall and the broker inside: one JSON list a datagram."""

import json
import socket
from typing import Any

_LIMIT = 1 << 16
_DESCRIPTORS = 4


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep messages apart and tell when the other side is gone."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(to: socket.socket, *message: object, fds: tuple[int, ...] = ()) -> None:
    """Send one message. Raises OSError when the other side is gone."""
    socket.send_fds(to, [json.dumps(message).encode()], fds)


def receive(source: socket.socket) -> tuple[list[Any], list[int]]:
    """The next message and its descriptors. Raises EOFError when the other side is gone."""
    try:
        data, fds, _, _ = socket.recv_fds(source, _LIMIT, _DESCRIPTORS)
    except ConnectionResetError:
        data, fds = b"", []
    if not data:
        raise EOFError
    return json.loads(data), fds
