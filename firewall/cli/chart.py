"""A time line of one GPU as SVG: utilisation and power, with the blocked attempts marked on it.

Only the lines are stretched to the page's width; all text keeps its size, on paper and on a phone.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from firewall.cli.markup import Element, element
from firewall.frozen import frozen

WIDTH, HEIGHT = 1000, 100
"""The plot in units of its own."""
TOP, BOTTOM = 20, 150
"""Where the plot begins and ends, in pixels from the top of the figure."""
WATTS_STEP = 100
GAP_SECONDS = 10.0
"""Moments further apart than this are not joined: nobody looked between them."""
LABEL_SHARE = 0.05
"""How far apart the numbers of marks stand at least, as a share of the width."""


@frozen
class Sample:
    """What one device did at a moment (seconds since the epoch); None where it was not told."""

    at: float
    utilisation: float | None
    power_watts: float | None


@frozen
class Mark:
    """A blocked attempt: when, the number it has on the page, in what words."""

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
        for index, sample in told_samples(record):
            found.setdefault(index, {})[sample.at] = sample
    return {index: [each[at] for at in sorted(each)] for index, each in sorted(found.items())}


def told_samples(record: Mapping[str, Any]) -> Iterator[tuple[int, Sample]]:
    """What one record's time line tells, each with its device's index."""
    gpu = record.get("gpu")
    history = gpu.get("history") if isinstance(gpu, Mapping) else None
    for each in history if isinstance(history, list) else ():
        yield from _devices(each)


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


def chart(title: str, line: Sequence[Sample], marks: Sequence[Mark]) -> Element:
    """The figure of one device, which has at least one sample or mark."""
    moments = [each.at for each in line] + [each.at for each in marks]
    start, end = min(moments), max(*moments, min(moments) + 1)
    top = _round_up(max([each.power_watts or 0 for each in line] + [1]))
    drawing = element(
        "svg",
        element("title", title),
        *_scales(top),
        _plot(line, start, end, top),
        *_marks(marks, start, end),
        *_times(start, end),
        class_="chart",
        role="img",
    )
    return element("figure", _caption(title, start, end), drawing)


def _round_up(watts: float) -> float:
    """The end of the scale of power, above what is drawn."""
    return (watts // WATTS_STEP + 1) * WATTS_STEP


def _caption(title: str, start: float, end: float) -> Element:
    return element(
        "figcaption",
        element("b", title),
        f", {_local(start):%Y-%m-%d %H:%M:%S} to {_local(end):%Y-%m-%d %H:%M:%S %Z}: ",
        element("span", "utilisation (line)", class_="use"),
        ", ",
        element("span", "power (dashes)", class_="power"),
        ", ",
        element("span", "blocked attempts (numbers)", class_="mark"),
    )


def _scales(top: float) -> Iterator[Element]:
    yield element("text", "0 to 100 %", x="0", y="13", class_="use")
    yield element("text", f"0 to {top:g} W", x="100%", y="13", class_="power end")
    for down in (TOP, (TOP + BOTTOM) // 2, BOTTOM):
        yield element("line", x1="0", x2="100%", y1=str(down), y2=str(down), class_="grid")


def _plot(line: Sequence[Sample], start: float, end: float, top: float) -> Element:
    use = [(each.at, each.utilisation, 100.0) for each in line]
    power = [(each.at, each.power_watts, top) for each in line]
    return element(
        "svg",
        element("path", d=_path(power, start, end), class_="power"),
        element("path", d=_path(use, start, end), class_="use"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        y=str(TOP),
        width="100%",
        height=str(BOTTOM - TOP),
    )


def _path(points: Sequence[tuple[float, float | None, float]], start: float, end: float) -> str:
    """A line through the points that are known, broken where none is; a lone one is a dot."""
    drawn, last = [], None
    for at, value, top in points:
        if value is None:
            last = None
            continue
        across = (at - start) / (end - start) * WIDTH
        down = HEIGHT - max(0.0, min(value, top)) / top * HEIGHT
        joined = last is not None and at - last <= GAP_SECONDS
        drawn.append(f"L{across:.1f} {down:.1f}" if joined else f"M{across:.1f} {down:.1f}h0")
        last = at
    return "".join(drawn)


def _marks(marks: Sequence[Mark], start: float, end: float) -> Iterator[Element]:
    """A line for each attempt, and its number where there is room for one."""
    labelled = -1.0
    for each in marks:
        share = (each.at - start) / (end - start)
        across = f"{share:.2%}"
        parts = [element("line", x1=across, x2=across, y1=str(TOP), y2=str(BOTTOM))]
        if abs(share - labelled) >= LABEL_SHARE:
            labelled = share
            parts.append(element("text", str(each.number), x=across, y="164", class_=_side(share)))
        parts.append(element("title", each.words))
        yield element("a", *parts, class_="mark", href=f"#attempt-{each.number}")


def _side(share: float) -> str:
    """Which way text goes from its place, so that it stays in the figure."""
    return "start" if share < LABEL_SHARE else "end" if share > 1 - LABEL_SHARE else "middle"


def _times(start: float, end: float) -> Iterator[Element]:
    for share in (0.0, 0.5, 1.0):
        at = _local(start + (end - start) * share)
        pattern = "%H:%M:%S" if end - start < 86_400 else "%m-%d %H:%M"
        yield element("text", f"{at:{pattern}}", x=f"{share:.0%}", y="184", class_=_side(share))


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at).astimezone()
