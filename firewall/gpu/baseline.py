"""What a job usually does, and whether it now does something else: medians over half minutes.

A training run has phases that come back: steps, data loading, evaluation, checkpoints. So what is
usual is no single level: a value is usual where enough of what was learned lies near it. What lies
between two phases is seen for one half minute, so most of those of late must be unusual. Robust
spread: 1.4826 times the median absolute deviation, which for normal noise is its standard deviation
(Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993).
"""

from collections import deque
from statistics import fmean, median

from firewall.frozen import frozen

BLOCK_SECONDS = 30.0
"""Longer than a step and its data loading, shorter than an evaluation."""
LEARNED_BLOCKS = 720
"""Six hours."""
SPREADS = 4.0
"""How many spreads from what is usual is something else."""
LEAST_SHARE = 0.05
"""Of the usual level: what is nearer is never something else, however steady the job."""
NEIGHBOURS = 0.02
"""The part of what was learned that makes a level usual."""
MOST = 0.75
"""The part of late that must be unusual."""
_CONSISTENT = 1.4826


@frozen
class Shift:
    """The medians of late and of what was learned, which part of late is unusual, and how far from
    the next usual level that begins."""

    value: float
    usual: float
    unusual: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it is something else."""
        return self.unusual >= MOST


class Baseline:
    """One quantity of one job. `warm_up` and `lasting` are in seconds, as in the rule."""

    def __init__(self, warm_up: float, lasting: float) -> None:
        self._warm_up = warm_up
        self._wanted = max(1, round(lasting / BLOCK_SECONDS))
        self._learned: deque[float] = deque(maxlen=LEARNED_BLOCKS)
        self._recent: deque[float] = deque()
        self._block: list[float] = []
        self._began: float | None = None
        self.shift: Shift | None = None

    def add(self, taken: float, value: float) -> None:
        """Take one reading in; `shift` is what it says then, None until enough is learned."""
        if self._began is None or taken < self._began:
            self._began = taken
        if taken - self._began >= BLOCK_SECONDS:
            self._close(taken)
        self._block.append(value)

    def _close(self, taken: float) -> None:
        self._recent.append(fmean(self._block))
        self._block.clear()
        self._began = taken
        if len(self._recent) > self._wanted:
            oldest = self._recent.popleft()
            # What is something else is never learned, or it would soon be usual.
            if self.shift is None or not self.shift.holds:
                self._learned.append(oldest)
        self.shift = self._judge()

    def _judge(self) -> Shift | None:
        enough = max(3.0, self._warm_up / BLOCK_SECONDS)
        if len(self._learned) < enough or len(self._recent) < self._wanted:
            return None
        usual = median(self._learned)
        spread = _CONSISTENT * median(abs(each - usual) for each in self._learned)
        tolerance = max(SPREADS * spread, LEAST_SHARE * usual)
        unusual = [not self._is_usual(each, tolerance) for each in self._recent]
        return Shift(median(self._recent), usual, fmean(unusual), tolerance)

    def _is_usual(self, value: float, tolerance: float) -> bool:
        near = sum(abs(each - value) <= tolerance for each in self._learned)
        return near >= max(3.0, NEIGHBOURS * len(self._learned))
