"""A time line of one GPU as SVG: utilisation and power, with the blocked attempts marked on it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

WIDTH, HEIGHT, MARGIN = 900, 160, 44


@dataclass(frozen=True, slots=True)
class Sample:
    """What one device did at a moment (seconds since the epoch); None where it was not told."""

    at: float
    utilisation: float | None
    power_watts: float | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A blocked attempt: when, the number it has in the report, in what words."""

    at: float
    number: int
    words: str


def moment(value: Any) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None where it is none."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None


def samples(records: Sequence[Mapping[str, Any]]) -> dict[int, list[Sample]]:
    """What all devices did in the minutes that the records tell of, by index, in order."""
    found: dict[int, dict[float, Sample]] = {}
    for record in records:
        gpu = record.get("gpu")
        history = gpu.get("history") if isinstance(gpu, Mapping) else None
        for each in history if isinstance(history, list) else ():
            for index, sample in _devices(each):
                found.setdefault(index, {})[sample.at] = sample
    return {index: [each[at] for at in sorted(each)] for index, each in sorted(found.items())}


def _devices(told: Any) -> Iterator[tuple[int, Sample]]:
    at = moment(told.get("sampled_at")) if isinstance(told, Mapping) else None
    if at is None:
        return
    use, power = (_numbers(told.get(name)) for name in ("utilisation", "power_watts"))
    for index in range(max(len(use), len(power))):
        pair = (values[index] if index < len(values) else None for values in (use, power))
        yield index, Sample(at, *pair)


def _numbers(value: Any) -> list[float | None]:
    values = value if isinstance(value, list) else []
    return [float(each) if isinstance(each, int | float) else None for each in values]


def chart(title: str, line: Sequence[Sample], marks: Sequence[Mark]) -> str:
    """The SVG of one device; its words are escaped, and it needs no script."""
    moments = [each.at for each in line] + [each.at for each in marks]
    start, end = min(moments), max(*moments, min(moments) + 1)
    top = max([each.power_watts or 0 for each in line] + [1])

    def across(at: float) -> float:
        return MARGIN + (at - start) / (end - start) * (WIDTH - 2 * MARGIN)

    use = _path([(across(each.at), each.utilisation, 100) for each in line])
    power = _path([(across(each.at), each.power_watts, top) for each in line])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 40}" role="img"><title>{escape(title)}</title>'
        f'<text x="0" y="14">100 %</text><text x="0" y="{HEIGHT}">0</text>'
        f'<text x="{WIDTH}" y="14" text-anchor="end">{top:g} W</text>'
        f'<path class="axis" d="M{MARGIN} {HEIGHT}H{WIDTH - MARGIN}"/>'
        f'<path class="power" d="{power}"/><path class="use" d="{use}"/>'
        f"{''.join(_mark(across(each.at), each) for each in marks)}"
        f'<text x="{MARGIN}" y="{HEIGHT + 34}">{_clock(start)}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT + 34}" text-anchor="end">{_clock(end)}</text></svg>'
    )


def _path(points: Sequence[tuple[float, float | None, float]]) -> str:
    """A line through the points that are known, broken where one is not."""
    drawn, command = [], "M"
    for across, value, top in points:
        if value is None:
            command = "M"
            continue
        down = HEIGHT - min(value, top) / top * (HEIGHT - 10)
        drawn.append(f"{command}{across:.1f} {down:.1f}")
        command = "L"
    return "".join(drawn)


def _mark(across: float, mark: Mark) -> str:
    return (
        f'<a href="#attempt-{mark.number}"><path class="mark" d="M{across:.1f} 6V{HEIGHT}"/>'
        f'<text class="mark" x="{across:.1f}" y="{HEIGHT + 16}" text-anchor="middle">'
        f"{mark.number}<title>{escape(mark.words)}</title></text></a>"
    )


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S %Z}"
