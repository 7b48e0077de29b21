"""Judges what the GPUs do by what was declared: pure, with neither a clock nor I/O of its own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from firewall.gpu.alerts import Alert, Denial, Sign
from firewall.gpu.gates import Gates
from firewall.gpu.loads import Bands, Shifts
from firewall.gpu.signs import Denied, WithoutJob, unexpected_process, unexpected_sandbox
from firewall.gpu.view import GpuView
from firewall.gpu.workers import Scene, scene
from firewall.workloads import AlertName, GpuPolicy, GpuRule

DENIALS_LIMIT = 256
"""Denials that are remembered; a flood of them says no more than its end."""

type Finder = Callable[[GpuRule, Scene], Iterator[Sign]]


class Detector:
    """Finds what a policy's rules about GPUs speak of, one reading after the other.

    A reading that could not be taken changes nothing: it neither raises nor clears.
    """

    def __init__(self, policy: GpuPolicy) -> None:
        self._workloads = policy.workloads
        self._rules = [each for each in policy.rules if each.respond != "nothing"]
        self._denials: deque[Denial] = deque(maxlen=DENIALS_LIMIT)
        self._gates = Gates()
        self._finders: dict[AlertName, Finder] = {"busy-with-denied-egress": Denied()}
        if policy.workloads:
            self._finders |= _of_workloads(policy)

    def see(self, view: GpuView, denials: Iterable[Denial] = ()) -> list[Alert]:
        """What one reading, and the denials since the last, begin, confirm and end."""
        self._denials.extend(denials)
        if view.unavailable:
            return []
        recent = tuple(self._denials)
        scenes = [scene(each, view, self._workloads, recent) for each in view.devices]
        return self._gates.take(self._signs(scenes), view)

    def _signs(self, scenes: Iterable[Scene]) -> Iterator[Sign]:
        for each in scenes:
            for rule in self._rules:
                if (finder := self._finders.get(rule.name)) is not None:
                    yield from finder(rule, each)


def _of_workloads(policy: GpuPolicy) -> Mapping[AlertName, Finder]:
    """What can be found only where it is known what to expect."""
    workloads = policy.workloads
    return {
        "unexpected-process": unexpected_process,
        "unexpected-sandbox": unexpected_sandbox,
        "out-of-band": Bands(workloads),
        "baseline-shift": Shifts(workloads),
        "busy-without-job": WithoutJob(workloads),
    }
