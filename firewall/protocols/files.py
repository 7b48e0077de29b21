"""What a file transfer asks for, in the words that SFTP and scp share."""

import re
from typing import Literal, Protocol

from firewall.frozen import frozen
from firewall.protocols.identity import ProtocolError

type Operation = Literal["read", "write"]

_PATH_LIMIT = 4096
"""Characters of a path, after Linux's PATH_MAX: what is remembered of open files stays small."""

_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
"""Control characters; and the backslash, which servers on Windows read as a slash."""


@frozen
class FileRequest:
    """One thing that a client wants done to a path of the server.

    "write" is all that changes something: contents, names or attributes. `verb` is the protocol's
    own word in lower case ("open", "rename", "statvfs@openssh.com", "scp"). `path` is as asked;
    `plain_path` makes of it what policies are written in.
    """

    operation: Operation
    verb: str
    path: str


@frozen
class Packet:
    """One unit of a transfer, which is sent on whole or not at all.

    `requests` is what must be judged before: see `Transfer`. `size` counts the bytes of file data
    in it. `answer`, where there is one, goes back to the client instead of `raw` to the server.
    `request_id` is SFTP's.
    """

    raw: bytes
    request_id: int | None = None
    requests: tuple[FileRequest, ...] = ()
    size: int = 0
    answer: bytes = b""


@frozen
class Denial:
    """What to send each way in place of a packet that was denied, so that the transfer goes on."""

    to_client: bytes
    to_server: bytes = b""


class Transfer(Protocol):
    """One channel that carries file transfers, followed in both directions.

    Send the packets on in the order they come. One with `requests` waits for its judgement, and
    for either `allow` or `deny`. All four raise ProtocolError where a peer breaks the protocol; the
    channel is then beyond repair and must be closed. `home` is the login's home, once it is known.
    """

    home: str

    def feed_client(self, data: bytes) -> list[Packet]:
        """Take bytes from the client; returns the packets they complete."""

    def feed_server(self, data: bytes) -> list[Packet]:
        """Take bytes from the server; returns the packets they complete."""

    def allow(self, packet: Packet) -> None:
        """Say that a packet with requests is about to be sent on."""

    def deny(self, packet: Packet, text: str) -> Denial:
        """Say that a packet with requests is not sent on; `text` tells the client why."""


def plain_path(path: str) -> str | None:
    """The path in the one form that policies are written in; None where it is ambiguous.

    Repeated slashes, "." segments and a slash at the end are dropped. A relative path is relative
    to the login's home and stays so; the home itself is ".". Ambiguous are ".." (what it leads to
    depends on the server's links), control characters and backslashes. Bytes that are not UTF-8
    are surrogate escapes, as in `os.fsdecode`.
    """
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments or _AMBIGUOUS.search(path):
        return None
    root = "/" if path.startswith("/") else ""
    return root + "/".join(segments) or "."


def decode_path(data: bytes) -> str:
    """A path of the wire as text; ProtocolError where it is too long to be one."""
    return check_length(data.decode("utf-8", "surrogateescape"))


def check_length(path: str) -> str:
    """The path itself; ProtocolError where it is too long to be one."""
    if len(path) > _PATH_LIMIT:
        raise ProtocolError(f"a path of {len(path)} characters; at most {_PATH_LIMIT} are relayed")
    return path
