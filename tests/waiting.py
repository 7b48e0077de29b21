"""How tests wait: for a condition, never for a time, and long enough for a busy machine."""

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which a test gives up. What is asserted never depends on them."""


def eventually[Value](condition: Callable[[], Value], seconds: float = PATIENCE) -> Value:
    """The condition's first true value; AssertionError if it does not come in time."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.005)
    return value
