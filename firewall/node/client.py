"""Ask the node daemon of this machine: for container engines, job schedulers, agents' runners.

    from firewall.node.client import Node

    with Node() as node:
        node.attach(policy="coding", container="4f5c...")

The wire: a Unix socket of SOCK_SEQPACKET (unix(7)). Each message is one JSON object of at most
64 KiB; a request has "do" and its arguments, an answer is an object with "error" where it failed.
Only the standard library is imported here.
"""

import json
import os
import socket
from types import TracebackType
from typing import Any, Self

SOCKET = "/run/firewall/node.sock"
MESSAGE_LIMIT = 64 << 10
SECONDS = 60.0


class NodeError(Exception):
    """The daemon refused; the text says why and what to do instead."""


class Node:
    """A connection to the daemon. Its methods raise NodeError, and OSError where none answers."""

    def __init__(self, path: str = "") -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(path or os.environ.get("FIREWALL_NODE", SOCKET))
        except OSError:
            self._socket.close()
            raise

    def attach(
        self,
        *,
        policy: str,
        pid: int | None = None,
        namespace: str | None = None,
        container: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Give what runs without a network the one that leads to the firewall.

        Name one of: a process, the path of a network namespace, the id of a container. Returns the
        sandbox: `name`, `namespace` (inode), `trust` ("mounted" where the container trusts the
        firewall's CA already, "environment" where it must be told), `environment` (what to tell).
        """
        places = {"pid": pid, "namespace": namespace, "container": container}
        given = {key: value for key, value in places.items() if value is not None}
        return self._ask("attach", policy=policy, name=name, **given)

    def create(self, *, policy: str, name: str) -> dict[str, Any]:
        """Make a network namespace that leads to the firewall. `path` is where root's engine finds
        it, as in `podman run --network ns:PATH`, until it is released or the daemon ends."""
        return self._ask("create", policy=policy, name=name)

    def release(self, name: str) -> dict[str, Any]:
        """Take the network away again: what ran there has no way out any more."""
        return self._ask("release", name=name)

    def status(self) -> list[dict[str, Any]]:
        """The sandboxes that the caller may see."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            answer = self._ask("status", after=found[-1]["name"] if found else "")
            found += answer["sandboxes"]
            more = bool(answer["more"])
        return found

    def policies(self) -> dict[str, dict[str, Any]]:
        """The policies in force, by the node's own names: `policy`, `version` (0: no bundle),
        `digest`, and the `file` that it came from."""
        found: dict[str, dict[str, Any]] = self._ask("policies")["policies"]
        return found

    def quarantine(self, name: str, *, freeze: bool = False) -> dict[str, Any]:
        """Cut every flow of a sandbox and deny all that follows."""
        return self._ask("quarantine", name=name, freeze=freeze)

    def reopen(self, name: str) -> dict[str, Any]:
        """End a quarantine."""
        return self._ask("reopen", name=name)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        wanted = {key: value for key, value in arguments.items() if value is not None}
        try:
            self._socket.send(json.dumps({"do": do, **wanted}).encode())
            data = self._socket.recv(MESSAGE_LIMIT)
        except TimeoutError:
            self.close()  # or what it answers yet would be taken for another request's answer
            raise NodeError(
                f"the node has not answered within {SECONDS:.0f} seconds; it may do it yet, which"
                " `firewall node status` shows"
            ) from None
        except (BrokenPipeError, ConnectionResetError):
            data = b""
        if not data:
            raise NodeError("the node ended the conversation before it answered")
        return _answer(data)


def _answer(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NodeError("the answer is not a node's; is the socket that of `firewall node serve`?")
    if "error" in answer:
        raise NodeError(str(answer["error"]))
    return answer
