"""Segments in order: who is the client of a flow, and what each side said, byte after byte."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from firewall.frozen import frozen
from firewall.protocols.captures.packets import Place, Segment
from firewall.requests import Direction

_WINDOW = 1 << 20
_EARLY = 256
"""Bytes and segments that wait for a missing one; then it is taken for lost."""

_SEQUENCES = 1 << 32

type _Key = tuple[str, Place, Place]


@dataclass(slots=True)
class _Half:
    """One direction: what comes next, and what came too early."""

    next: int | None = None
    early: dict[int, bytes] = field(default_factory=dict)
    waiting: int = 0


@dataclass(slots=True)
class Flow:
    """A TCP connection, or the datagrams between two places.

    `begun` says that its beginning was captured, so that it is certain who is the client.
    """

    transport: Literal["tcp", "udp"]
    client: Place
    server: Place
    begun: bool
    halves: dict[Direction, _Half] = field(
        default_factory=lambda: {"sent": _Half(), "received": _Half()}
    )


@frozen
class Piece:
    """What a flow said next. For UDP a piece is a datagram."""

    flow: Flow
    time: float
    direction: Direction
    data: bytes


class Flows:
    """Sorts segments into flows and TCP's into order.

    The client is who sends the SYN; without one, who has the higher port. Lost segments leave a
    gap: what follows is told as if it came next.
    """

    def __init__(self) -> None:
        self._flows: dict[_Key, Flow] = {}

    def feed(self, segment: Segment) -> Iterator[Piece]:
        """The pieces that a segment completes."""
        ends = sorted((segment.source, segment.target))
        key = segment.transport, ends[0], ends[1]
        flow = self._flows.get(key)
        begins = segment.syn and not segment.ack
        if flow is None or (begins and flow.halves["sent"].next not in (None, _after(segment))):
            flow = self._flows[key] = _new(segment)
        direction: Direction = "sent" if segment.source == flow.client else "received"
        pieces = [segment.data] if flow.transport == "udp" else _order(flow, direction, segment)
        for data in pieces:
            if data:
                yield Piece(flow, segment.time, direction, data)

    def rest(self) -> Iterator[Piece]:
        """What still waits for segments that never came."""
        for flow in self._flows.values():
            for direction, half in flow.halves.items():
                for data in _give_up(half):
                    yield Piece(flow, 0.0, direction, data)


def _after(segment: Segment) -> int:
    return (segment.sequence + 1) % _SEQUENCES


def _new(segment: Segment) -> Flow:
    ours, theirs = segment.source, segment.target
    answers = segment.syn and segment.ack
    guessed = not segment.syn and segment.transport == "tcp" and ours[1] < theirs[1]
    if answers or guessed:
        ours, theirs = theirs, ours
    return Flow(segment.transport, ours, theirs, segment.syn)


def _order(flow: Flow, direction: Direction, segment: Segment) -> list[bytes]:
    half = flow.halves[direction]
    if segment.syn:
        half.next = _after(segment)
        return []
    if not segment.data:
        return []
    if half.next is None:
        half.next = segment.sequence
    if segment.sequence not in half.early:
        half.early[segment.sequence] = segment.data
        half.waiting += len(segment.data)
    pieces = list(_ready(half))
    lost = half.waiting > _WINDOW or len(half.early) > _EARLY
    return [*pieces, *_give_up(half)] if lost else pieces


def _ready(half: _Half) -> Iterator[bytes]:
    """What follows without a gap; bytes that came twice are told once."""
    while half.early and half.next is not None:
        at = min(half.early, key=lambda sequence: _distance(half, sequence))
        ahead = _distance(half, at)
        if ahead > 0:
            return
        data = half.early.pop(at)
        half.waiting -= len(data)
        fresh = data[-ahead:] if ahead else data
        half.next = (half.next + len(fresh)) % _SEQUENCES
        yield fresh


def _distance(half: _Half, sequence: int) -> int:
    """How far a sequence number lies ahead, less than zero for behind (RFC 1982)."""
    ahead = (sequence - (half.next or 0)) % _SEQUENCES
    return ahead - _SEQUENCES if ahead >= _SEQUENCES // 2 else ahead


def _give_up(half: _Half) -> Iterator[bytes]:
    """Pass over what is missing."""
    while half.early:
        half.next = min(half.early, key=lambda sequence: _distance(half, sequence))
        yield from _ready(half)
