"""How much a rule, or all of the network, lets through within a time."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from firewall.policy.amounts import CountText, NamesText, TimeText, VolumeText, is_rate, rate
from firewall.policy.errors import Fault
from firewall.policy.strict import Strict, says
from firewall.verdict import Limit, Measure, Per

MEASURES: tuple[Measure, ...] = get_args(Measure.__value__)
CONNECTION = ("sessions", "forwards", "idle", "total")
"""Keys that bound one SSH connection, as `sent` and `received` do without a time."""

type Place = tuple[int | str, ...]


class LimitsDocument(Strict):
    """How much may pass within any window of a time, such as `50MB/h` or `100/5min`; what would be
    more is refused, and stopped where it is under way.

    Several of one rule, such as others `per: host`, are written as a list, and all of them hold.
    """

    sent: Annotated[
        VolumeText | None,
        says("Bytes to servers, heads of requests included; for SSH `50MB` is of one connection."),
    ] = None
    received: Annotated[
        VolumeText | None,
        says("Bytes from servers; for SSH `50MB` is of one connection."),
    ] = None
    requests: Annotated[CountText | None, says("HTTP requests, where they are inspected.")] = None
    connections: Annotated[CountText | None, says("Connections that are opened.")] = None
    names: Annotated[
        NamesText | None, says("Different hosts that are connected to; 1000 at most.")
    ] = None
    per: Annotated[
        Per | None,
        says(
            "What each count is for: `rule` as a whole, or each `host`, `program` or `sandbox`."
            " Unwritten it is `rule`, and `sandbox` in `network.limits`."
        ),
    ] = None
    sessions: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="SSH only: sessions at once in one connection (unwritten: 10)."
    )
    forwards: Annotated[int, Field(ge=1, le=10000)] | None = Field(
        default=None, description="SSH only: forwards at once in one connection (unwritten: 100)."
    )
    idle: Annotated[TimeText | None, says("SSH only: how long it may be idle (unwritten: 1h).")] = (
        None
    )
    total: Annotated[TimeText | None, says("SSH only: how long it may last.")] = None

    @property
    def windows(self) -> tuple[Measure, ...]:
        """What is written with a time."""
        return tuple(each for each in MEASURES if is_rate(getattr(self, each) or ""))

    @property
    def bounds(self) -> dict[str, Any]:
        """What is written of one SSH connection."""
        keys = (*CONNECTION, "sent", "received")
        written = {key: getattr(self, key) for key in keys if key not in self.windows}
        return {key: value for key, value in written.items() if value is not None}


def _form(value: Any) -> Literal["one", "several"]:
    return "several" if isinstance(value, list) else "one"


# Told apart by form, so that a fault in one is not also reported as not being the other.
LimitsForm = Annotated[
    Annotated[LimitsDocument, Tag("one")]
    | Annotated[Annotated[list[LimitsDocument], Field(min_length=1)], Tag("several")],
    Discriminator(_form),
]


def several(limits: LimitsForm | None) -> list[tuple[Place, LimitsDocument]]:
    """The limits of one key, each with its place below it."""
    if isinstance(limits, list):
        return [((number,), each) for number, each in enumerate(limits)]
    return [] if limits is None else [((), limits)]


def limits_of(
    limits: LimitsForm | None, rule: str, source: Iterable[str], usual: Per = "rule"
) -> tuple[Limit, ...]:
    """The limits of a rule ("": of all of the network); `source` tells where each one stands."""
    return tuple(
        _limit(document, measure, rule, where, usual)
        for (_, document), where in zip(several(limits), source, strict=True)
        for measure in document.windows
    )


def _limit(document: LimitsDocument, measure: Measure, rule: str, where: str, usual: Per) -> Limit:
    written = getattr(document, measure)
    return Limit(rule, measure, *rate(written), document.per or usual, written, where)


def check_limits(
    limits: LimitsForm | None, allow: str, *, requests: bool, whole: bool = False
) -> Iterator[tuple[Place, Fault]]:
    """What is wrong with the limits of a rule that allows `allow`; `requests` says whether its
    requests can be counted, `whole` that they are those of all of the network."""
    seen: Counter[tuple[Measure, int, Per | None]] = Counter()
    bounds: Counter[str] = Counter()
    for place, document in several(limits):
        yield from ((place, fault) for fault in _faults(document, allow, requests, whole))
        bounds.update([*document.bounds])
        for measure in document.windows:
            key = measure, rate(getattr(document, measure))[1], document.per
            seen[key] += 1
            if seen[key] > 1:
                what = f"{measure} is limited twice within the same time, for the same"
                yield (*place, measure), Fault(what, "the smaller of the two")
    for bound, count in bounds.items():
        if count > 1:
            yield (), Fault(f"{bound} of one connection stands twice in the list", "it once")


def _faults(document: LimitsDocument, allow: str, requests: bool, whole: bool) -> Iterator[Fault]:
    if not document.windows and not document.bounds:
        yield Fault("limits that limit nothing", "limits: {sent: 50MB/h}")
    elif document.per and not document.windows:
        yield Fault("per is for what is limited within a time", "sent: 50MB/h, or no per")
    for key, value in document.bounds.items():
        if allow == "ssh":
            continue
        if key in CONNECTION:
            yield Fault(f"{key} is for one connection of allow: ssh", f"no {key}")
        else:
            yield Fault(f"{key}: {value} names no time", f"{key}: {value}/h")
    if document.requests and not requests:
        yield Fault("requests are counted only where HTTP is inspected", "connections: 100/min")
    if document.names and document.per == "host":
        yield Fault("each host is one name", "names without per: host")
    if whole and document.per == "rule":
        yield Fault("limits of the whole network are no rule's", "per: host, program or sandbox")
