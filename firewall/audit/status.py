"""What can be found in a log that is verified, from good to bad."""

from typing import Literal

type Status = Literal[
    "intact", "torn", "backwards", "gap", "unsigned", "truncated", "missing", "tampered"
]

ORDER: tuple[Status, ...] = (
    "intact",
    "torn",
    "backwards",
    "gap",
    "unsigned",
    "truncated",
    "missing",
    "tampered",
)

BATCH = 10 << 20
"""A crash tears no more than one batch; see TORN_LIMIT in segments.py."""
_PAGE = 4096


class Problem(Exception):  # noqa: N818 - what is found is the result, not an error
    """The first thing that does not hold: what it is, where ("file:line"), why."""

    def __init__(self, status: Status, where: str, why: str) -> None:
        self.status = status
        self.where = where
        self.why = why


def torn(rest: bytes, offset: int) -> bool:
    """Whether a crash can have left these bytes: an unfinished line, or pages of zeros."""
    line = rest.split(b"\n", 1)[0]
    _, zero, after = line.partition(b"\0")
    if len(rest) > BATCH or not zero:
        return len(rest) <= BATCH and line == rest
    end = len(line) - len(after.lstrip(b"\0"))
    return end == len(rest) or (offset + end) % _PAGE == 0
