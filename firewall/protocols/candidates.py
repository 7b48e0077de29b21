"""Ask only those recognisers that a stream's first byte leaves."""

from collections.abc import Callable
from functools import cache

from firewall.protocols.identity import Answer

type Recogniser = Callable[[bytes], Answer]


@cache
def candidates(recognisers: tuple[Recogniser, ...], first: int) -> tuple[Recogniser, ...]:
    """Those that do not say no to the first byte alone: a no is final, whatever comes after it."""
    head = bytes([first])
    return tuple(each for each in recognisers if each(head) is not None)


def first_answer(recognisers: tuple[Recogniser, ...], data: bytes) -> Answer:
    """The answer of the first that does not say no; None where all do. `data` is not empty."""
    for recognise in candidates(recognisers, data[0]):
        answer = recognise(data)
        if answer is not None:
            return answer
    return None
