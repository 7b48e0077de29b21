r"""One record as one line of JSON, and the chain of hashes through them.

A line is ASCII, ends with one newline and has its members in this order:

    {"seq":N,"time":T,"monotonic_ns":N,"boot_id":B,"chain":C,<the event>,"prev":P,"hash":H}

`hash` is SHA-256(0x00 || the line's bytes before `,"hash":`) in lower-case hex; `prev` is the
hash of the record before, or 64 zeros in a chain's first. Both stand at fixed places from the end,
so what is hashed are the bytes as written; nothing is ever re-serialised to check it. The 0x00
keeps leaves apart from the inner nodes of a tree over them (RFC 6962 section 2.1).
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from firewall.audit.describe import plain, text
from firewall.frozen import frozen

GENESIS = "0" * 64
"""`prev` of a chain's first record."""

RECORD_LIMIT = 1 << 20
"""Bytes of the event in one record; a larger one is shortened and says so in `truncated`."""

RESERVED = frozenset(
    {"seq", "time", "monotonic_ns", "boot_id", "chain", "truncated", "prev", "hash"}
)

_ENCODER = json.JSONEncoder(separators=(",", ":"), default=plain, allow_nan=False)
_AS_IT_IS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_TAIL = re.compile(rb',"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"}')
_TAIL_LENGTH = len(',"prev":"","hash":""}') + 2 * 64
_HASH_LENGTH = len(',"hash":""}') + 64
_SEQ = re.compile(rb'{"seq":([1-9][0-9]{0,19}),')


def encode_event(event: Mapping[str, Any]) -> str:
    """The members of an event as JSON without the outer braces, at most RECORD_LIMIT bytes.

    Whatever the values are, the result is valid JSON in ASCII. Raises ValueError where the event
    itself is wrong: empty, or naming a member that belongs to the record.
    """
    if not event or not RESERVED.isdisjoint(event):
        taken = ", ".join(sorted(RESERVED.intersection(event))) or "nothing"
        raise ValueError(f"an event must name members of its own; this one names: {taken}")
    encoded = _dumps(event)
    if len(encoded) > RECORD_LIMIT:
        encoded = _shorten(event, len(encoded))
    return encoded[1:-1]


def _dumps(event: Mapping[str, Any]) -> str:
    """JSON in ASCII. orjson writes it at a tenth of the json module's cost, but only in UTF-8."""
    try:
        written = orjson.dumps(event, default=plain, option=_AS_IT_IS)
        if written.isascii():
            return written.decode("ascii")
        encoded = _ENCODER.encode(event)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(plain(event), separators=(",", ":"))
    # A lone surrogate is no text: JSON can spell it, but strict readers refuse the whole line.
    return json.dumps(plain(event), separators=(",", ":")) if r"\ud" in encoded else encoded


def _shorten(event: Mapping[str, Any], length: int) -> str:
    """Shorten whatever is longest, a little more each time, until the record fits."""
    limit = RECORD_LIMIT // 16
    encoded = ""
    while not encoded or len(encoded) > RECORD_LIMIT:
        shorter = plain(event, _Cut(limit))
        encoded = _dumps({**shorter, "truncated": length})
        limit //= 4
    return encoded


class _Cut:
    """Cuts strings, lists and dictionaries to `limit` members and leaves a mark in each."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __call__(self, value: Any) -> Any:
        if len(value) <= self.limit:
            return value
        if isinstance(value, str):
            return value[: self.limit] + self._mark(value)
        if isinstance(value, list):
            return [*value[: self.limit], f"[cut: {len(value)} in all]"]
        return {**dict(islice(value.items(), self.limit)), "[cut]": f"{len(value)} in all"}

    def _mark(self, value: str) -> str:
        digest = hashlib.sha256(text(value).encode()).hexdigest()
        return f"[cut: {len(value)} characters in all, SHA-256 {digest}]"


class Stamp(NamedTuple):
    """When a record was made: wall clock and monotonic clock, both in nanoseconds."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> "Stamp":
        """This moment."""
        return cls(time.time_ns(), time.monotonic_ns())

    @property
    def time(self) -> str:
        """RFC 3339 in UTC with microseconds."""
        seconds, rest = divmod(self.wall_ns, 1_000_000_000)
        return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """A second since the epoch in words: the same for all records of it, and dear to make."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def boot_id() -> str:
    """Which start of this machine it is: monotonic clocks of two starts do not compare."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def seal(seq: int, stamp: Stamp, origin: str, event: str, prev: str) -> tuple[bytes, str]:
    """The line of one record and its hash.

    `origin` is the JSON of the members boot_id and chain, `event` what `encode_event` returned.
    """
    head = f'{{"seq":{seq},"time":"{stamp.time}","monotonic_ns":{stamp.monotonic_ns},{origin},'
    body = f'{head}{event},"prev":"{prev}"'.encode("ascii")
    digest = hashlib.sha256(b"\0" + body).hexdigest()
    return body + b',"hash":"%b"}\n' % digest.encode("ascii"), digest


@frozen
class Seal:
    """What holds one line in its chain."""

    seq: int
    prev: str
    hash: str


def check(line: bytes) -> Seal | None:
    """The seal of a whole line (with its newline) whose own hash holds; None for anything else."""
    start = _SEQ.match(line)
    end = _TAIL.fullmatch(line, len(line) - 1 - _TAIL_LENGTH, len(line) - 1)
    if start is None or end is None or not line.endswith(b"\n"):
        return None
    digest = hashlib.sha256(b"\0" + line[: -1 - _HASH_LENGTH]).hexdigest()
    if digest.encode("ascii") != end[2]:
        return None
    return Seal(seq=int(start[1]), prev=end[1].decode("ascii"), hash=digest)
