"""The shape of a flow that nobody can read: how its bytes come, scored for mining.

A miner's connection lives long and says little: small shares of one size, each answered at once,
and between them jobs that the pool pushes unasked (xmrig Client.cpp, xmrig-proxy doc/STRATUM.md).
That is what is scored, from times, directions and sizes alone.

What it cannot tell: which of the flows of that shape are miners. Chats, MQTT and telemetry that
talk in small messages of one size, both ways, look the same; a miner that pads, waits or joins its
messages does not look like one; and nothing is said before ten minutes have passed. So a finding
is never more than suspicious. Published detectors that do better probe the server.
"""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from firewall.requests import Direction, Finding

LEAST_SECONDS = 600.0
LEAST_MESSAGES = 20
THRESHOLD = 0.7
_EACH = 60.0
"""Seconds between two judgements."""

_JOINED = 0.1
"""Bytes of one direction that come within so many seconds are one message."""

_ANSWERED = 2.0
"""Seconds in which an answer comes; what the server says later was not asked for."""

_SETTLED = 10.0
"""Seconds of handshakes and logins, which are not counted."""

_SIZES_LIMIT = 64
_GRAIN = 8
"""Bytes by which sizes of one kind of message differ: numbers grow by a digit."""

_LARGE = {"sent": 600, "received": 2000}
"""Shares, jobs and their TLS records stay below; the largest known jobs have 1,500 bytes."""

_RATE = 200.0
"""Bytes a second, both ways."""

_PUSHES = 5
_PUSHED_EACH = 240.0
"""Seconds in which a job comes at the latest: Monero finds a block in 120, and pools for slower
coins refresh their jobs every minute."""

_SHARE_SIZES = range(130, 451)
_JOB_SIZES = range(200, 1501)


@dataclass(slots=True)
class _Side:
    """What one direction has said so far. `sizes` counts messages by size, rounded down."""

    bytes: int = 0
    messages: int = 0
    large: int = 0
    sizes: dict[int, int] = field(default_factory=dict)

    def add(self, size: int, limit: int) -> None:
        self.bytes += size
        self.messages += 1
        self.large += size > limit
        grain = size // _GRAIN * _GRAIN
        _count(self.sizes, grain)

    @property
    def usual(self) -> float:
        """The share of messages that have one of the two commonest sizes, or one beside them."""
        commonest = [size for size, _ in Counter(self.sizes).most_common(2)]
        near = {size + shift for size in commonest for shift in (-_GRAIN, 0, _GRAIN)}
        return sum(self.sizes.get(size, 0) for size in near) / max(self.messages, 1)

    @property
    def middle(self) -> float:
        """The median size."""
        return median(Counter(self.sizes).elements()) if self.sizes else 0.0


def _count(sizes: dict[int, int], grain: int) -> None:
    """A message more of this size, unless there are too many different ones."""
    if grain in sizes or len(sizes) < _SIZES_LIMIT:
        sizes[grain] = sizes.get(grain, 0) + 1


class Shape:
    """Scores one flow. Feed it what moves, in order; it answers once, when it has grown suspicious.

    `named` says whether the ClientHello had a server name, `protocols` whether it offered any
    (ALPN): miners by default send neither, and so do many honest clients. `self_signed` may be set
    once the server has shown a certificate that nobody vouches for, as many pools do, and
    `misnamed` once it has shown one for other names than it was asked for.
    """

    __slots__ = (
        "_answered", "_asked", "_judged", "_last", "_named", "_protocols", "_pushed", "_pushes",
        "_sides", "_size", "_start", "_turn", "misnamed", "self_signed", "told",
    )  # fmt: skip

    def __init__(self, *, named: bool, protocols: bool) -> None:
        self._named = named
        self._protocols = protocols
        self.self_signed = self.misnamed = False
        self._sides: dict[Direction, _Side] = {}
        self._start: float | None = None
        self._last = self._judged = 0.0
        self._turn: Direction = "sent"
        self._size = 0
        self._asked = float("-inf")
        self._answered = self._pushed = 0
        self._pushes: dict[int, int] = {}
        self.told = False

    def feed(self, now: float, direction: Direction, size: int) -> tuple[Finding, ...]:
        """Count bytes that moved at `now`, in seconds of any clock that does not go back."""
        if self._start is None:
            self._start = self._judged = now
        if direction != self._turn or now - self._last > _JOINED:
            self._close()
            self._turn = direction
        self._size += size
        self._last = now
        if self.told or now - self._judged < _EACH:
            return ()
        self._judged = now
        return self._judge(now - self._start)

    def score(self, seconds: float) -> float:
        """From 0 to 1, for a flow that has lived so long."""
        sent, received = self._side("sent"), self._side("received")
        if seconds < LEAST_SECONDS or not self._fits(seconds, sent, received):
            return 0.0
        pushed = median(Counter(self._pushes).elements())
        marks = (
            (0.3, sent.usual >= 0.8),
            (0.2, self._answered >= 0.9 * sent.messages),
            (0.2, sent.middle in _SHARE_SIZES),
            (0.1, pushed in _JOB_SIZES),
            (0.1, not self._named),
            (0.1, not self._protocols),
            (0.1, self.self_signed or self.misnamed),
        )
        return min(1.0, sum(weight for weight, holds in marks if holds))

    def _fits(self, seconds: float, sent: _Side, received: _Side) -> bool:
        """Small and slow both ways, with answers and with pushes: without these it is no miner."""
        messages = sent.messages + received.messages
        small = 20 * (sent.large + received.large) <= messages
        slow = sent.bytes + received.bytes <= _RATE * seconds
        pushes = max(_PUSHES, seconds / _PUSHED_EACH)
        both = self._pushed >= pushes and self._answered >= _PUSHES
        return messages >= LEAST_MESSAGES and small and slow and both

    def _judge(self, seconds: float) -> tuple[Finding, ...]:
        score = round(self.score(seconds), 2)
        if score < THRESHOLD:
            return ()
        self.told = True
        sent, received = self._side("sent"), self._side("received")
        name, alpn = ("a" if self._named else "no"), ("some" if self._protocols else "no")
        evidence = (
            f"score {score} of 1: {seconds:.0f} s, {sent.messages} messages of mostly"
            f" {sent.middle:.0f} bytes sent, {self._answered} answered at once,"
            f" {self._pushed} of {received.messages} received unasked; {name} server name,"
            f" {alpn} ALPN"
            + ", a self-signed certificate" * self.self_signed
            + ", a certificate for other names" * self.misnamed
        )
        return (Finding("mining", "encrypted-shape", evidence, "the whole flow", "suspicious"),)

    def _close(self) -> None:
        """A message is complete."""
        size, self._size = self._size, 0
        if not size or self._start is None or self._last - self._start < _SETTLED:
            return
        self._side(self._turn).add(size, _LARGE[self._turn])
        if self._turn == "sent":
            self._asked = self._last
        elif self._last - self._asked <= _ANSWERED:
            self._answered += 1
            self._asked = float("-inf")
        else:
            self._pushed += 1
            _count(self._pushes, size // _GRAIN * _GRAIN)

    def _side(self, direction: Direction) -> _Side:
        """Made once something counts: most flows end before."""
        return self._sides.setdefault(direction, _Side())
