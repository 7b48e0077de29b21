"""How the policy language writes amounts, times, and so much of something in a time."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from firewall.policy.errors import Fault

_AMOUNT = re.compile(r"([0-9]+)(B|KB|MB|GB|TB)")
_TIME = re.compile(r"([0-9]+)(s|m|h|d)")
_RATE = re.compile(r"([0-9]+)(B|KB|MB|GB|TB|)/([0-9]*)(s|min|m|h|d)")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}

LONGEST = 31 * 86400
"""Seconds of the longest window."""


def matching(pattern: re.Pattern[str], what: str, example: str) -> AfterValidator:
    """Checks that a text is written as `pattern` says."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise Fault(f"{text!r} is not {what}", example)
        return text

    return AfterValidator(check)


def seconds(text: str) -> int:
    """The seconds of a time such as "15m"."""
    number, unit = _TIME.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * _SECONDS[unit]


def amount(text: str) -> int:
    """The bytes of an amount such as "50MB"."""
    number, unit = _AMOUNT.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def is_rate(text: str) -> bool:
    """Whether a text, which was checked, is so much in a time, and not so much at all."""
    return "/" in text


def rate(text: str) -> tuple[int, int]:
    """How much, and within how many seconds, of a rate such as "50MB/h" or "100/5min"."""
    number, unit, times, time = _RATE.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit], int(times or 1) * _SECONDS[time]


def _a_rate(text: str, *, of_bytes: bool, example: str) -> str:
    found = _RATE.fullmatch(text)
    if found is None or bool(found[2]) is not of_bytes:
        raise Fault(f"{text!r} is not {'an amount' if of_bytes else 'a number'} in a time", example)
    number, window = rate(text)
    if not number:
        raise Fault(f"{text!r} lets nothing through", "no rule that allows it, or more than 0")
    if not 0 < window <= LONGEST:
        raise Fault(f"the time in {text!r} is not from 1s to 31d", example)
    return text


def _count(most: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        _a_rate(text, of_bytes=False, example="100/min, 20/h, 500/d")
        if rate(text)[0] > most:
            raise Fault(f"{text!r} is more than {most:,}", f"{most}/{text.partition('/')[2]}")
        return text

    return check


def _volume(text: str) -> str:
    if _AMOUNT.fullmatch(text):
        return text
    return _a_rate(text, of_bytes=True, example="50MB/h, or 50MB for one connection of SSH")


AmountText = Annotated[str, matching(_AMOUNT, "an amount", "50MB")]
TimeText = Annotated[str, matching(_TIME, "a time", "15m")]
VolumeText = Annotated[str, AfterValidator(_volume)]
"""Bytes in a time ("50MB/h"), or for each connection ("50MB")."""
CountText = Annotated[str, AfterValidator(_count(10**9))]
NamesText = Annotated[str, AfterValidator(_count(1000))]
