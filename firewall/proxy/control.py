"""The control socket of a running firewall, for the commands of `firewall sandbox`.

A Unix socket of SOCK_SEQPACKET (unix(7)) in a folder that no sandbox sees: `run/NAME.sock` in the
state directory, mode 0600. A client sends one JSON object, {"do": "status"}, {"do": "release"} or
{"do": "quarantine", "freeze": true or false}, and gets one: the sandbox's status or {"error": why}.
Whoever asks must be the firewall's own user or root (SO_PEERCRED).
"""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from firewall import judge
from firewall.judge import Judge, fail_closed
from firewall.proxy.held import Held
from firewall.proxy.loop import READ, Loop
from firewall.proxy.quarantine import Reply
from firewall.verdict import Verdict

REQUEST_LIMIT = 1024
ANSWER_LIMIT = 64 << 10
ASKING = 16
"""Clients at once; more are turned away."""
REQUEST_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""Longer than processes may take to stop."""
SUFFIX = ".sock"

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""


class Desk(Protocol):
    """Who carries the requests out; `by` says who asks."""

    def status(self) -> dict[str, Any]: ...
    def impose(self, by: str, *, freeze: bool, reply: Reply) -> None: ...
    def release(self, by: str, reply: Reply) -> None: ...


class Control:
    """Serves one firewall's socket on the gate's loop, and takes it away when closed.

    Raises OSError where it cannot be made.
    """

    def __init__(self, loop: Loop, judge: Judge, desk: Desk, directory: Path, name: str) -> None:
        self._loop = loop
        self._judge = judge
        self._desk = desk
        self._asking: set[_Asking] = set()
        self._name = name
        directory.mkdir(mode=0o700, exist_ok=True)
        running(directory)
        self._directory = os.open(directory, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._listener = self._listen()
        loop.watch(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self._name + SUFFIX, dir_fd=self._directory)
        os.close(self._directory)
        for each in list(self._asking):
            each.end()

    def _listen(self) -> socket.socket:
        """Named only once it listens, so that nobody takes it for one that is left over."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        new, here = f".{self._name}.new", self._directory
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=here)
        listener.bind(_path(here, new))
        os.chmod(new, 0o600, dir_fd=here)
        listener.listen(ASKING)
        listener.setblocking(False)
        os.rename(new, self._name + SUFFIX, src_dir_fd=here, dst_dir_fd=here)
        return listener

    def _accept(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            if len(self._asking) >= ASKING:
                client.close()
                return
            asking = _Asking(self._loop, client, self._judge, self._desk, self._asking)
            asking.start()


class _Asking(Held):
    """One client: a request, an answer, the end."""

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        judge: Judge,
        desk: Desk,
        others: "set[_Asking]",
    ) -> None:
        super().__init__(loop, client)
        self._judge = judge
        self._desk = desk
        self._others = others

    def start(self) -> None:
        self._others.add(self)
        self._client.setblocking(False)
        self._timer = self._loop.after(REQUEST_SECONDS, self.end)
        self._loop.watch(self._client.fileno(), READ, self._readable)

    def end(self) -> None:
        self._close()
        self._others.discard(self)

    def _readable(self, events: int) -> None:
        def refuse(verdict: Verdict) -> None:
            self._answer({"error": verdict.reason})

        with fail_closed(self._judge, "control.request", refuse):
            judge.probe("control.request")
            self._forget()
            pid, uid = _peer(self._client)
            data = self._client.recv(REQUEST_LIMIT + 1)
            if uid not in (0, os.geteuid()):
                self._answer({"error": "only the firewall's own user and root may ask"})
            else:
                self._serve(_request(data), f"uid {uid}, pid {pid}")

    def _serve(self, request: dict[str, Any], by: str) -> None:
        match request:
            case {"do": "status"}:
                self._answer(self._desk.status())
            case {"do": "quarantine"}:
                freeze = request.get("freeze") is True
                self._desk.impose(by, freeze=freeze, reply=self._answer)
            case {"do": "release"}:
                self._desk.release(by, self._answer)
            case _:
                self._answer({"error": "no such request: status, quarantine and release are known"})

    def _answer(self, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._client.send(json.dumps(answer).encode())
        self.end()


def _request(data: bytes) -> dict[str, Any]:
    """The request in a message; an empty one for whatever is none."""
    if len(data) > REQUEST_LIMIT:
        return {}
    try:
        request = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _peer(client: socket.socket) -> tuple[int, int]:
    """The process and the user that connected."""
    data = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


def running(directory: Path) -> list[str]:
    """The names of the firewalls that answer; what dead ones have left behind is removed.

    Raises OSError where the folder cannot be read.
    """
    try:
        handle = os.open(directory, os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        found = sorted(each for each in os.listdir(handle) if each.endswith(SUFFIX))
        return [each.removesuffix(SUFFIX) for each in found if _is_alive(handle, each)]
    finally:
        os.close(handle)


def _is_alive(directory: int, file: str) -> bool:
    try:
        with _connected(directory, file):
            return True
    except (ConnectionRefusedError, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file, dir_fd=directory)
        return False
    except OSError:
        return True  # It is there, and too busy to answer.


def ask(directory: Path, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a running firewall. Raises OSError where it does not answer."""
    handle = os.open(directory, os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _connected(handle, name + SUFFIX) as firewall:
            firewall.send(json.dumps(request).encode())
            data = firewall.recv(ANSWER_LIMIT)
    finally:
        os.close(handle)
    if not data:
        raise ConnectionResetError(f"{name} ended before it answered")
    answer: dict[str, Any] = json.loads(data)
    return answer


@contextlib.contextmanager
def _connected(directory: int, file: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(_path(directory, file))
        yield client


def _path(directory: int, file: str) -> str:
    """A short path to a file of an open folder: a socket's may have only 107 bytes (unix(7))."""
    return f"/proc/self/fd/{directory}/{file}"
