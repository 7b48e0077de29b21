"""Judges what the GPUs do by what was declared: pure, with neither a clock nor I/O of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from firewall.gpu.alerts import Alert, Denial, Denials, Sign
from firewall.gpu.gates import Gates
from firewall.gpu.loads import Bands, Shifts
from firewall.gpu.signs import Denied, WithoutJob, unexpected_process, unexpected_sandbox
from firewall.gpu.view import GpuView
from firewall.gpu.workers import Scene, scene
from firewall.workloads import AlertName, GpuPolicy, GpuRule

type Finder = Callable[[GpuRule, Scene], Iterator[Sign]]


class Detector:
    """Finds what a policy's rules about GPUs speak of, one reading after the other.

    A reading that could not be taken changes nothing: it neither raises nor clears. `raised` is how
    many alerts there were before, so that no two have one number. `rules` may be replaced by equal
    ones that are written elsewhere.
    """

    def __init__(self, policy: GpuPolicy, raised: int = 0) -> None:
        self._workloads = policy.workloads
        self.rules = policy.rules
        self._denials = Denials()
        self._gates = Gates(raised)
        self._finders: dict[AlertName, Finder] = {"busy-with-denied-egress": Denied()}
        if policy.workloads:
            self._finders |= _of_workloads(policy)

    def see(self, view: GpuView, denials: Iterable[Denial] = ()) -> list[Alert]:
        """What one reading, and the denials since the last, begin, confirm and end."""
        for each in denials:
            self._denials.add(each)
        if view.unavailable:
            return []
        recent = self._denials.all()
        scenes = [scene(each, view, self._workloads, recent) for each in view.devices]
        return self._gates.take(self._signs(scenes), view)

    def end(self, view: GpuView) -> list[Alert]:
        """Clear all that is raised: from this reading on another policy says what is an alert."""
        return self._gates.end(view)

    @property
    def raised(self) -> int:
        """How many alerts there were."""
        return self._gates.number

    def _signs(self, scenes: Iterable[Scene]) -> Iterator[Sign]:
        for each in scenes:
            for rule in self.rules:
                finder = self._finders.get(rule.name)
                if finder is not None and rule.respond != "nothing":
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
