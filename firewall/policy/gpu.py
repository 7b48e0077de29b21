"""What a person writes under `gpu:`: the jobs that may use the GPUs, and the alerts."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from firewall.policy.amounts import TimeText
from firewall.policy.errors import Fault
from firewall.policy.globs import checked
from firewall.policy.strict import RuleName, Strict, section
from firewall.workloads import Band, Respond

type SeverityWord = Literal["info", "warning", "critical"]

_SHARE = re.compile(r"([0-9]{1,3})%")
_BAND = re.compile(r"([0-9]+(?:\.[0-9]+)?) *- *([0-9]+(?:\.[0-9]+)?) *(%|[KMG]?i?B|W)")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_UNITS = {"%": 1, "W": 1, "MB": 10**6, "GB": 10**9, "MiB": 1 << 20, "GiB": 1 << 30}
_EXAMPLES = {"utilisation": "40-100%", "memory": "8-70GB", "power": "150-700W"}
_OF = {"utilisation": ("%",), "memory": ("MB", "GB", "MiB", "GiB"), "power": ("W",)}


def _share(value: Any) -> Any:
    if not isinstance(value, str) or not _SHARE.fullmatch(value) or share(value) > 100:
        number = value if isinstance(value, int) and 0 <= value <= 100 else 5
        raise Fault(f"{value!r} is not a share of a GPU", f"{number}%")
    return value


def _program(text: str) -> str:
    if not text.strip("*/"):
        raise Fault(f"{text!r} would be every program", "no program key, which means any")
    return checked(text)


def _number(value: Any) -> Any:
    return str(value) if type(value) is int and value >= 0 else value


def _hours(text: str) -> str:
    if not _HOURS.fullmatch(text):
        raise Fault(f"{text!r} are no hours of a day", '"08:00-20:00"')
    if text[:5] == text[6:]:
        raise Fault(f"{text!r} is no time at all", "no hours key, which means always")
    return text


def _band(quantity: str) -> AfterValidator:
    """A band of one quantity, in one of its units."""

    def check(text: str) -> str:
        found = _BAND.fullmatch(text)
        example = _EXAMPLES[quantity]
        if not found or found[3] not in _OF[quantity]:
            raise Fault(f"{text!r} is no band of {quantity}", example)
        if float(found[1]) > float(found[2]):
            raise Fault(f"{text!r} ends before it begins", f"{found[2]}-{found[1]}{found[3]}")
        if found[3] == "%" and float(found[2]) > 100:
            raise Fault(f"{text!r} is more than all of a GPU", f"{found[1]}-100%")
        return text

    return AfterValidator(check)


ShareText = Annotated[str, BeforeValidator(_share)]
GlobText = Annotated[str, AfterValidator(checked)]
NumberedText = Annotated[str, BeforeValidator(_number), AfterValidator(checked)]


class WorkloadDocument(Strict):
    """A job that may use GPUs: which processes are it, on which devices, how much and when.

    `program` is a glob over the path of the program's file (or its base name, without a slash),
    `arguments` over its arguments joined by blanks, `container` over the container's id, `sandbox`
    over the name that `firewall sandbox list` shows; `none` is a process in none. `user` is a name
    or a number. `devices` are indexes or UUIDs. A program can take another's name, so this keeps
    honest programs apart; a user, a sandbox or a container cannot be chosen so.

    Bands such as 40-100%, 8-70GB, 150-700W are for the median over the alert's `for`. `hours` are
    local.
    """

    name: RuleName
    program: Annotated[str, AfterValidator(_program)] | None = None
    arguments: GlobText | None = None
    container: GlobText | None = None
    user: NumberedText | None = None
    sandbox: GlobText | None = None
    devices: list[NumberedText] | None = Field(default=None, min_length=1)
    utilisation: Annotated[str, _band("utilisation")] | None = None
    memory: Annotated[str, _band("memory")] | None = None
    power: Annotated[str, _band("power")] | None = None
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _of_something(self) -> "WorkloadDocument":
        who = (self.program, self.arguments, self.container, self.user, self.sandbox)
        if not any(each is not None for each in who):
            what = f"{self.name} would be every process"
            raise Fault(what, 'program: "*/python*" (or arguments, container, user, sandbox)')
        return self


class AlertDocument(Strict):
    """What every alert may say. `for` is how long it must hold before it is raised.

    `respond` does to the processes, and all that they started: `nothing` turns the rule off,
    `alert` records and tells, `quarantine` closes the egress of their sandbox as well, `freeze`
    stops them as well, `terminate` ends them. `dry-run` records what would be done and does not do
    it; unwritten, it holds for freeze and terminate.
    """

    lasting: TimeText | None = Field(default=None, alias="for")
    severity: SeverityWord | None = None
    respond: Respond | None = None
    dry_run: bool | None = Field(default=None, alias="dry-run")


class BusyDocument(AlertDocument):
    """An alert about what is busy: from `utilisation` on."""

    utilisation: ShareText | None = None


class DeniedDocument(BusyDocument):
    """`within` is how far the work and the denied egress may lie apart."""

    within: TimeText | None = None


class ShiftDocument(AlertDocument):
    """`warm-up` is how much of a job is learned before it is judged."""

    warm_up: TimeText | None = Field(default=None, alias="warm-up")


class AlertsDocument(Strict):
    """The alerts, each with its own thresholds and response."""

    unexpected_process: BusyDocument | None = Field(default=None, alias="unexpected-process")
    unexpected_sandbox: BusyDocument | None = Field(default=None, alias="unexpected-sandbox")
    out_of_band: AlertDocument | None = Field(default=None, alias="out-of-band")
    baseline_shift: ShiftDocument | None = Field(default=None, alias="baseline-shift")
    busy_without_job: BusyDocument | None = Field(default=None, alias="busy-without-job")
    busy_with_denied_egress: DeniedDocument | None = Field(
        default=None, alias="busy-with-denied-egress"
    )


class GpuDocument(Strict):
    """What may use the GPUs (`expect`), and what follows when something else does (`alert`)."""

    expect: list[WorkloadDocument] = Field(default_factory=list)
    alert: AlertsDocument = section()


def share(text: str) -> int:
    """The per cent of a share such as "5%"."""
    return int(text.removesuffix("%"))


def band(text: str | None) -> Band | None:
    """A checked band, in per cent, bytes or watts."""
    found = _BAND.fullmatch(text) if text is not None else None
    if found is None:
        return None
    unit = _UNITS[found[3]]
    return Band(float(found[1]) * unit, float(found[2]) * unit)


def minute(text: str) -> int:
    """The minute of the day of a checked time such as 08:00."""
    hour, _, rest = text.partition(":")
    return 60 * int(hour) + int(rest)


def hours(text: str | None) -> tuple[int, int] | None:
    """Checked hours, in minutes of the day."""
    if text is None:
        return None
    start, _, end = text.partition("-")
    return minute(start), minute(end)
