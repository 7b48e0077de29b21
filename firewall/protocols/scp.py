"""The old scp protocol, as OpenSSH's and dropbear's `scp -t` and `scp -f` speak it.

There is no standard: source(), sink() and response() in OpenSSH's scp.c are the source. A sender
and a receiver take turns:

    receiver: ack                       the receiver is ready
    sender:   T<mtime> 0 <atime> 0 LF   times of what follows, with -p; acknowledged
    sender:   C<mode> <size> <name> LF  a file; acknowledged, then its data and an ack of the
                                        sender's own (the trailer); acknowledged
    sender:   D<mode> 0 <name> LF       a directory begins, with -r; acknowledged
    sender:   E LF                      and ends; acknowledged
    an ack:   0x00                      or 0x01 and a line (go on without it) or 0x02 and a line
    sender:   0x01 or 0x02 and a line   instead of a record: trouble; not acknowledged
"""

import re
from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
from posixpath import basename, dirname, join

from firewall.frozen import frozen
from firewall.protocols.files import (
    Denial,
    FileRequest,
    Operation,
    Packet,
    check_length,
    decode_path,
    plain_path,
)
from firewall.protocols.identity import ProtocolError
from firewall.protocols.ssh import screen_text

_OPTIONS = frozenset("12346BCTdfpqrtv")
"""Options without a value that a client passes on, or that change nothing at the other end."""

_SHELL = re.compile(r"[{}$`;&|<>()\n]|^~(?!/|$)")
_PATTERN = re.compile(r"[*?\[\]]")

_LINE_LIMIT = 8 << 10
_TEXT_LIMIT = 1 << 10
"""Bytes of an error text: response() in scp.c reads 2 KiB at most."""

_DEPTH_LIMIT = 256

_TIMES = re.compile(rb"T\d{1,19} \d{1,6} \d{1,19} \d{1,6}\n")
_ENTRY = re.compile(rb"[CD][0-7]{4} (\d{1,18}) ([^/\x00-\x1f\x7f]+)\n")


@frozen
class ScpCommand:
    """What `scp -t` (writes one path) or `scp -f` (reads paths) at the server is to do.

    `directory` says that the path written to must be a directory already.
    """

    operation: Operation
    paths: tuple[str, ...]
    recursive: bool = False
    directory: bool = False


def parse_command(argv: Sequence[str]) -> ScpCommand | None:
    """Read the words of an exec request; None where it is not, for sure, one end of an scp.

    "~/" is the login's home. A pattern is left for the last part of what is read, whose matches
    the server names one by one; anywhere else it says not which file is meant.
    """
    if not argv or argv[0] != "scp":
        return None
    options, paths = _split(argv[1:])
    if not options <= _OPTIONS or len(options & {"t", "f"}) != 1:
        return None
    operation: Operation = "write" if "t" in options else "read"
    if not paths or (operation == "write" and len(paths) > 1):
        return None
    if any(_is_vague(path, operation) for path in paths):
        return None
    paths = tuple(re.sub("^~/*", "", path) or "." for path in paths)
    return ScpCommand(operation, paths, "r" in options, "d" in options)


def _split(words: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    """Options as single letters, and the paths behind them.

    An option behind a path is one to some getopt(3) and a path to others: it leaves no paths.
    """
    options: set[str] = set()
    for at, word in enumerate(words):
        if word == "--":
            return options, tuple(words[at + 1 :])
        if not word.startswith("-"):
            rest = words[at:]
            return options, () if any(each.startswith("-") for each in rest) else tuple(rest)
        options |= set(word[1:])
    return options, ()


def _is_vague(path: str, operation: Operation) -> bool:
    """Whether a shell may make something else of it than a file by this name."""
    fixed = path if operation == "write" else dirname(path)
    return bool(_SHELL.search(path) or _PATTERN.search(fixed))


class _Turn(Enum):
    """Who must speak next, and what."""

    RECORD = "a record of the sender"
    JUDGEMENT = "a judgement of the firewall"
    DATA = "a file's data"
    TRAILER = "the sender's ack behind a file's data"
    ACK = "an ack of the receiver"


_ACK = b"\0\x01\x02"
_BEGINNINGS = {_Turn.RECORD: b"CDET\x01\x02", _Turn.ACK: _ACK, _Turn.TRAILER: _ACK}


@frozen
class _Entry:
    """A file or directory that the sender names, and the paths that this can mean."""

    directory: bool
    size: int
    paths: tuple[str, ...]


class Scp:
    """A `Transfer` of one scp command.

    A file or directory of the sender carries a request for the path that it is read from or
    written to. Where the command's path may or may not be a directory of the server, both paths
    that this can mean are asked for. Whoever speaks out of turn is refused, for then the two ends
    would disagree about which bytes are data.

    Kept are one incomplete line and the paths of the directories that are open.
    """

    home = ""
    """Never told by this protocol."""

    def __init__(self, command: ScpCommand) -> None:
        self._command = command
        self._turn = _Turn.ACK
        self._line = bytearray()
        self._left = 0
        self._entry: _Entry | None = None
        self._directories: list[tuple[str, ...]] = []

    def feed_client(self, data: bytes) -> list[Packet]:
        """Take bytes from the client; returns what they complete, a file's data as it comes."""
        return self._feed(data, sender=self._command.operation == "write")

    def feed_server(self, data: bytes) -> list[Packet]:
        """Take bytes from the server; returns what they complete, a file's data as it comes."""
        return self._feed(data, sender=self._command.operation == "read")

    def allow(self, packet: Packet) -> None:
        """Expect the receiver's ack for a file or directory, and no earlier."""
        assert self._turn is _Turn.JUDGEMENT
        self._turn = _Turn.ACK

    def deny(self, packet: Packet, text: str) -> Denial:
        """The client shows the text and goes on; a server that sends is told to leave it out."""
        assert self._turn is _Turn.JUDGEMENT
        self._turn, self._entry = _Turn.RECORD, None
        line = b"\x01scp: " + screen_text(text, _TEXT_LIMIT) + b"\n"
        return Denial(line, line if self._command.operation == "read" else b"")

    def _feed(self, data: bytes, *, sender: bool) -> list[Packet]:
        packets, at = [], 0
        while at < len(data):
            self._check_turn(sender=sender)
            if self._turn is _Turn.DATA:
                piece = data[at : at + self._left]
                at += len(piece)
                packets.append(self._pass_data(piece))
                continue
            end = self._line_end(data, at)
            self._line += data[at:end]
            at = end
            packets += self._take_line()
        return packets

    def _check_turn(self, *, sender: bool) -> None:
        if sender is (self._turn is _Turn.ACK) or self._turn is _Turn.JUDGEMENT:
            who = "sender" if sender else "receiver"
            raise ProtocolError(f"the {who} of an scp speaks where {self._turn.value} is due")

    def _pass_data(self, piece: bytes) -> Packet:
        self._left -= len(piece)
        self._turn = _Turn.DATA if self._left else _Turn.TRAILER
        return Packet(piece, size=len(piece))

    def _line_end(self, data: bytes, at: int) -> int:
        """Where the line that goes on at `at` ends in `data`; an ack of 0x00 is a line itself."""
        if not self._line and data[at] == 0:
            return at + 1
        return data.find(b"\n", at) + 1 or len(data)

    def _take_line(self) -> list[Packet]:
        """The packet of the line so far, if it is complete."""
        line = bytes(self._line)
        if line[0] not in _BEGINNINGS[self._turn] or len(line) > _LINE_LIMIT:
            raise ProtocolError(f"scp line {line[:40]!r}; expected {self._turn.value}")
        if line != b"\0" and not line.endswith(b"\n"):
            return []
        self._line.clear()
        match self._turn:
            case _Turn.RECORD:
                return [self._read_record(line)]
            case _Turn.TRAILER:
                self._turn = _Turn.ACK
            case _:
                self._read_ack(line)
        return [Packet(line)]

    def _read_record(self, line: bytes) -> Packet:
        """A record; trouble in its place is passed on, and the turn stays."""
        match line[:1]:
            case b"C" | b"D":
                return self._read_entry(line)
            case b"T" if _TIMES.fullmatch(line):
                self._turn = _Turn.ACK
            case b"E" if line == b"E\n" and self._directories:
                self._directories.pop()
                self._turn = _Turn.ACK
            case b"T" | b"E":
                raise ProtocolError(f"malformed or misplaced scp record {line[:40]!r}")
        return Packet(line)

    def _read_entry(self, line: bytes) -> Packet:
        matched = _ENTRY.fullmatch(line)
        if not matched or matched[2] in (b".", b".."):
            raise ProtocolError(f"malformed scp record {line[:40]!r}: no plain name in it")
        directory = line.startswith(b"D")
        if directory and not (self._command.recursive and len(self._directories) < _DEPTH_LIMIT):
            raise ProtocolError("scp of a directory without -r, or nested too deep")
        paths = self._find_paths(decode_path(matched[2]), directory=directory)
        self._entry = _Entry(directory, int(matched[1]), paths)
        self._turn = _Turn.JUDGEMENT
        operation = self._command.operation
        return Packet(line, requests=tuple(FileRequest(operation, "scp", path) for path in paths))

    def _read_ack(self, ack: bytes) -> None:
        """Only what the receiver accepts is entered, or has its data follow."""
        entry, self._entry = self._entry, None
        self._turn = _Turn.RECORD
        if not entry or ack != b"\0":
            return
        if entry.directory:
            self._directories.append(entry.paths)
            return
        self._left = entry.size
        self._turn = _Turn.DATA if entry.size else _Turn.TRAILER

    def _find_paths(self, name: str, *, directory: bool) -> tuple[str, ...]:
        if self._directories:
            found = tuple(join(parent, name) for parent in self._directories[-1])
        elif self._command.operation == "read":
            found = self._find_sources(name)
        else:
            found = self._find_targets(name, directory=directory)
        return tuple(check_length(path) for path in found)

    def _find_sources(self, name: str) -> tuple[str, ...]:
        """Those paths of the command that a server may mean by `name` (CVE-2019-6111)."""
        asked = (path.rstrip("/") for path in self._command.paths)
        found = tuple(join(dirname(path), name) for path in asked if _matches(name, basename(path)))
        if not found:
            raise ProtocolError(f"the server of an scp sends {name!r}, which was not asked for")
        return found

    def _find_targets(self, name: str, *, directory: bool) -> tuple[str, ...]:
        """The command's path itself, where that may be no directory yet, and `name` inside it."""
        (path,) = self._command.paths
        inside = join(path, name)
        exists = self._command.directory or plain_path(path) in (".", "/")
        if exists or (path.endswith("/") and not directory):
            return (inside,)
        return path, inside


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
