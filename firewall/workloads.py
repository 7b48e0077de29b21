"""What may use the GPUs, and what follows when something else does: values that the policy writes
and the detector judges by. Those that say the same are equal, wherever they are written (`source`).

None means that nobody could tell. It never means no or zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Literal

from firewall.frozen import frozen
from firewall.verdict import Severity

type AlertName = Literal[
    "unexpected-process",
    "unexpected-sandbox",
    "out-of-band",
    "baseline-shift",
    "busy-without-job",
    "busy-with-denied-egress",
]
type Respond = Literal["nothing", "alert", "quarantine", "freeze", "terminate"]

STOPPING: tuple[Respond, ...] = ("freeze", "terminate")
"""Responses that stop a process."""

PLACES = ("sandbox", "container")
"""The keys of a workload that say where it runs, not what it is."""


@frozen
class Band:
    """What a quantity may be, both ends included: per cent, bytes or watts."""

    least: float
    most: float

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.least <= value <= self.most


@frozen
class Use:
    """One process on one device, as workloads are compared with it.

    `program` is the path of its file, `arguments` those after its name, joined by blanks.
    `sandbox` and `container` are "" where it runs in none, `devices` what the device is called
    (its index and its UUID), `minute` the minute of the local day.
    """

    program: str | None = None
    arguments: str | None = None
    container: str | None = None
    sandbox: str | None = None
    uid: int | None = None
    devices: tuple[str, ...] = ()
    minute: int = 0


@frozen
class Workload:
    """A job that may use GPUs. What is "" or empty is not asked about.

    `program`, `arguments`, `container`, `sandbox` and `devices` are globs; a program without a
    slash is a base name, and "none" as a sandbox or container is being in none. `uid` is what
    `user` is on this machine, None where there is no such user. `hours` are minutes of the local
    day, from the first up to the second, over midnight where that is smaller.
    """

    name: str
    program: str = ""
    arguments: str = ""
    container: str = ""
    sandbox: str = ""
    user: str = ""
    uid: int | None = None
    devices: tuple[str, ...] = ()
    utilisation: Band | None = None
    memory: Band | None = None
    power: Band | None = None
    hours: tuple[int, int] | None = None
    reason: str = ""
    source: str = field(default="", compare=False)

    def misfits(self, use: Use) -> tuple[str, ...]:
        """The keys that the use does not fit, or cannot be told to; () where it is this job."""
        return tuple(key for key, fits in self._compared(use) if not fits)

    def may_be(self, use: Use) -> bool:
        """Whether nothing that is known of the use speaks against this job."""
        return all(fits is not False for _, fits in self._compared(use))

    def is_on(self, devices: tuple[str, ...]) -> bool:
        """Whether it may use a device of these names."""
        return not self.devices or any(
            fnmatchcase(name, glob) for name in devices for glob in self.devices
        )

    def _compared(self, use: Use) -> Iterator[tuple[str, bool | None]]:
        yield "program", _matches(self.program, _named(self.program, use.program))
        yield "arguments", _matches(self.arguments, use.arguments)
        yield "container", _matches(_place(self.container), use.container)
        yield "sandbox", _matches(_place(self.sandbox), use.sandbox)
        yield "user", not self.user or (None if use.uid is None else use.uid == self.uid)
        yield "devices", self.is_on(use.devices)
        yield "hours", self.hours is None or _is_between(use.minute, *self.hours)


@frozen
class Match:
    """Which workload a use is, by the keys that it `misfits`: where there are none, `workload`.

    Else `workload` is the nearest, and `unsure` says that only what is not known speaks against it.
    It is None where none is declared.
    """

    workload: Workload | None = None
    misfits: tuple[str, ...] = ()
    unsure: bool = False

    @property
    def declared(self) -> Workload | None:
        """The workload that it is, or None."""
        return None if self.misfits else self.workload

    @property
    def misplaced(self) -> bool:
        """Whether it is a declared workload in another sandbox or container than declared."""
        return bool(self.misfits) and not self.unsure and set(self.misfits) <= set(PLACES)

    @property
    def why_not(self) -> str:
        """Why it is no declared workload."""
        if self.workload is None:
            return "no workload is declared"
        name, keys = self.workload.name, ", ".join(self.misfits)
        if self.unsure:
            return f"whether it is {name} cannot be told without its {keys}"
        if self.misplaced:
            return f"{name} is not declared for this {keys}"
        return f"it is no declared workload (nearest: {name}, but for its {keys})"


def match(workloads: Sequence[Workload], use: Use) -> Match:
    """The workload that a use is, else one that it may be, else the nearest."""
    tried = [Match(each, each.misfits(use)) for each in workloads]
    nearest = min(tried, key=lambda each: len(each.misfits), default=Match())
    if nearest.declared:
        return nearest
    for each in tried:
        if each.workload is not None and each.workload.may_be(use):
            return Match(each.workload, each.misfits, unsure=True)
    return nearest


@frozen
class GpuRule:
    """When an alert is raised and what is done then.

    `utilisation` is the per cent of a device from which something counts as busy, `lasting` how
    many seconds it must hold, `within` how many seconds a denial and the work may lie apart,
    `warm_up` how many seconds of a job are learned before it is judged. With `dry_run` the
    response is recorded and not carried out.
    """

    name: AlertName
    utilisation: int = 5
    lasting: int = 10
    within: int = 60
    warm_up: int = 3600
    severity: Severity = Severity.WARNING
    respond: Respond = "alert"
    dry_run: bool = False
    source: str = field(default="", compare=False)

    @property
    def full_name(self) -> str:
        """As records name it."""
        return f"gpu.{self.name}"


DEFAULTS: tuple[GpuRule, ...] = (
    GpuRule("unexpected-process"),
    GpuRule("unexpected-sandbox"),
    GpuRule("out-of-band", lasting=300),
    GpuRule("baseline-shift", lasting=300),
    GpuRule("busy-without-job", utilisation=20, lasting=60),
    GpuRule("busy-with-denied-egress", utilisation=20, lasting=0, severity=Severity.CRITICAL),
)
"""Every rule as it is where nothing is written. All but the last need declared workloads."""


@frozen
class GpuPolicy:
    """The declared workloads and every alert rule."""

    workloads: tuple[Workload, ...] = ()
    rules: tuple[GpuRule, ...] = DEFAULTS


def _named(glob: str, program: str | None) -> str | None:
    """The program as a glob means it: its path, or its base name."""
    return program if program is None or "/" in glob else program.rpartition("/")[2]


def _place(glob: str) -> str | None:
    return None if glob == "none" else glob


def _matches(glob: str | None, text: str | None) -> bool | None:
    """None where it cannot be told. The glob "" is for every text, None for the text ""."""
    if glob == "":
        return True
    if text is None:
        return None
    return text == "" if glob is None else fnmatchcase(text, glob)


def _is_between(minute: int, start: int, end: int) -> bool:
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end
