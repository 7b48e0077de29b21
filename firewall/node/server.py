"""The node's Unix socket: who asks, as the kernel tells it, and one answer for each request.

The wire is told in `firewall.node.client`. Each connection has one request under way at a time.
"""

import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from firewall import judge
from firewall.judge import Judge, fail_closed
from firewall.node.client import MESSAGE_LIMIT
from firewall.node.config import Peer
from firewall.node.desk import Reply
from firewall.node.requests import Request, RequestError, read
from firewall.proxy.loop import READ, Loop
from firewall.proxy.refusal import sentence
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

CLIENTS = 1024
"""Connections at once; more are turned away."""
SHARE = 64
"""Those of one user besides root, who could else keep all others out."""
PAUSE_SECONDS = 1.0
"""Where no descriptor is left; who asks waits."""
_BACKLOG = 1024
_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""
_SO_PEERGROUPS = 59
_GROUPS_BYTES = 1024
"""The most that Python's getsockopt asks for: 256 groups, and who has more is known by none."""

type Serve = Callable[[Request, Peer, Reply], None]


class Server:
    """Serves the socket on the loop until `close`. Raises OSError where it cannot be made.

    `own` records the node's own faults. `anyone` says whether users besides root may connect; what
    they may do is the desk's to say.
    """

    def __init__(self, loop: Loop, path: Path, serve: Serve, own: Judge, *, anyone: bool) -> None:
        self._loop = loop
        self._path = path
        self._serve = serve
        self._own = own
        self._clients: set[_Client] = set()
        self._listener = _listen(path, 0o666 if anyone else 0o600)
        loop.watch(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        with suppress(OSError):
            self._path.unlink()
        for each in list(self._clients):
            each.end()

    def _accept(self, events: int) -> None:
        while (client := self._next()) is not None:
            peer = peer_of(client)
            if self._is_crowded(peer.uid):
                client.close()
                continue
            ended = self._clients.discard
            self._clients.add(_Client(self._loop, client, peer, self._serve, self._own, ended))

    def _next(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except BlockingIOError:
            return None
        except OSError as error:
            logger.warning("nobody is served for %g s: %s", PAUSE_SECONDS, error.strerror)
            self._loop.change(self._listener.fileno(), 0)
            self._loop.after(PAUSE_SECONDS, self._go_on)
            return None

    def _go_on(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.change(self._listener.fileno(), READ)

    def _is_crowded(self, uid: int) -> bool:
        """Whether nobody more, or nobody more of this user, is served."""
        own = sum(each.peer.uid == uid for each in self._clients) if uid else 0
        return len(self._clients) >= CLIENTS or own >= SHARE


class _Client:
    """One connection."""

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        peer: Peer,
        serve: Serve,
        own: Judge,
        ended: "Callable[[_Client], None]",
    ) -> None:
        self._loop = loop
        self._client = client
        self._serve = serve
        self._own = own
        self._ended = ended
        self.peer = peer
        client.setblocking(False)
        loop.watch(client.fileno(), READ, self._readable)

    def end(self) -> None:
        if self._client.fileno() >= 0:
            self._loop.forget(self._client.fileno())
            self._client.close()
        self._ended(self)

    def _readable(self, events: int) -> None:
        try:
            data = self._client.recv(MESSAGE_LIMIT + 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end()
            return
        self._loop.change(self._client.fileno(), 0)
        self._answer_to(data)

    def _answer_to(self, data: bytes) -> None:
        def refuse(verdict: Verdict) -> None:
            self._reply({"error": sentence(verdict)})

        with fail_closed(self._own, "node.request", refuse, actor=self.peer.actor):
            judge.probe("node.request")
            try:
                if len(data) > MESSAGE_LIMIT:
                    raise RequestError(f"the request is larger than {MESSAGE_LIMIT} bytes")
                self._serve(read(data), self.peer, self._reply)
            except RequestError as error:
                self._reply({"error": str(error)})

    def _reply(self, answer: dict[str, Any]) -> None:
        if self._client.fileno() < 0:
            return
        try:
            self._client.send(json.dumps(answer).encode())
        except OSError:
            self.end()
        else:
            self._loop.change(self._client.fileno(), READ)


def peer_of(client: socket.socket) -> Peer:
    """Who has connected. Raises OSError."""
    data = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    groups = b""
    with suppress(OSError):
        groups = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    more = struct.unpack(f"{len(groups) // 4}I", groups)
    return Peer(pid, uid, frozenset((gid, *more)))


def _listen(path: Path, mode: int) -> socket.socket:
    """In place of a socket that a dead daemon has left; never of one that answers."""
    if _answers(path):
        raise OSError(f"a node serves {path} already; stop that one, or name another socket")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    umask = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"no socket can be made at {path}: {error.strerror}") from error
    finally:
        os.umask(umask)
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client, suppress(OSError):
        client.connect(str(path))
        return True
    return False
