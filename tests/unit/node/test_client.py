"""What goes wrong with the daemon is told in words, and never taken for an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firewall.node import client
from firewall.node.client import Node, NodeError


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[Node]:
    """A client of a daemon that gives one client these answers, and then none."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen()
    over = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            for each in answers:
                peer.recv(1000)
                peer.send(each)
            over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Node(str(path)) as node:
            yield node
    finally:
        over.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400", b"[]", b'"x"', b"[" * 60_000, b"\xff"])
def test_what_is_no_nodes_answer_is_said_to_be_none(tmp_path: Path, answer: bytes) -> None:
    with (
        answering(tmp_path / "s", answer) as node,
        pytest.raises(NodeError, match="is not a node's; is the socket that of"),
    ):
        node.release("a")


def test_a_node_that_is_late_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.05)
    with answering(tmp_path / "s") as node:
        with pytest.raises(NodeError, match="not answered within 0 seconds; it may do it yet"):
            node.release("a")
        with pytest.raises(OSError, match="Bad file descriptor"):
            node.release("b")


def test_a_node_that_turns_one_away_is_said_to_have(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        with Node(str(path)) as node:
            listener.accept()[0].close()
            with pytest.raises(NodeError, match="ended the conversation"):
                node.release("a")
