"""What the GPUs did around a blocked attempt, told to a person: before, at that moment, after."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firewall.cli.lines import part

GIB = 1 << 30
BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""A moment at which the device was not read: unknown, and no idle one."""
WIDTH = 30
"""Bars of a minute."""
AROUND = "the minute before | that moment | the minute after"

type Json = Mapping[str, Any]


def gpu_story(record: Json, after: Json | None = None) -> Iterator[str]:
    """The lines of a record's GPU part and of the follow-up to it; they are not escaped."""
    gpu = part(record, "gpu")
    if not gpu:
        yield "not asked: an allow carries no GPU state"
        return
    if gpu.get("status") != "ok":
        yield f"unavailable: {gpu.get('reason') or 'no reason given'}"
    else:
        reason = f"; {gpu['reason']}" if gpu.get("reason") else ""
        yield f"read {gpu.get('age_ms')} ms before{reason}"
    follow_up = part(after or {}, "gpu")
    for place, device in enumerate(objects(gpu.get("devices"))):
        yield from _device(device)
        yield from _around(gpu, device, follow_up, place)
    yield from _before(gpu)
    if after:
        yield from _later(follow_up, str(after.get("ended", "?")))


def _device(device: Json) -> Iterator[str]:
    memory = f"{_gib(device.get('memory_used'))} of {_gib(device.get('memory_total'))}"
    use, power = _number(device, "utilisation", "%"), _number(device, "power_watts", "W")
    yield f"{device.get('index')} {device.get('name')}: {use}, {memory}, {power}"
    for field, reason in part(device, "unavailable").items():
        yield f"  {field} unavailable: {reason}"
    for each in objects(device.get("processes")):
        yield f"  {_process(each)}, relation {each.get('relation', 'unknown')}{_place(each)}"


def _process(each: Json) -> str:
    use, memory = _number(each, "sm", "%"), _gib(each.get("memory_used"))
    return f"{each.get('name') or '?'}[{each.get('pid')}] {use}, {memory}"


def _place(each: Json) -> str:
    named = (("sandbox", 40), ("container", 12), ("pod", 40), ("unit", 40))
    found = [f"{name} {each[name][:length]}" for name, length in named if _is_text(each.get(name))]
    return "".join(f", {words}" for words in found)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _around(gpu: Json, device: Json, follow_up: Json, place: int) -> Iterator[str]:
    """Utilisation as bars, where there is a time line."""
    before, later = (_line(each.get("history"), place) for each in (gpu, follow_up))
    if before or later:
        parts = (spark(before), spark([device.get("utilisation")]), spark(later) or "not recorded")
        yield f"  {' | '.join(parts)}  ({AROUND}, 0 to 100 %)"


def _line(history: Any, place: int) -> list[Any]:
    """The utilisation of one device in a time line; None where it was not read."""
    lists = [each.get("utilisation") for each in objects(history)]
    return [each[place] if isinstance(each, list) and place < len(each) else None for each in lists]


def spark(values: Sequence[Any]) -> str:
    """Percentages as bars, at most WIDTH: each shows the most of the moments that it stands for."""
    step = -(-len(values) // WIDTH) or 1
    return "".join(_bar(values[start : start + step]) for start in range(0, len(values), step))


def _bar(values: Sequence[Any]) -> str:
    known = [each for each in values if isinstance(each, int | float) and 0 <= each <= 100]
    return BARS[min(int(max(known) * len(BARS) / 100), len(BARS) - 1)] if known else GAP


def _before(gpu: Json) -> Iterator[str]:
    """Processes that the reading before saw and this one did not, or could not see."""
    before = part(gpu, "before")
    now = {each.get("pid") for each in _processes(gpu)}
    told = "gone since" if gpu.get("status") == "ok" else "last seen"
    for pid, each in {each.get("pid"): each for each in _processes(before)}.items():
        if pid not in now:
            yield f"{told} {before.get('age_ms')} ms before: {_process(each)}{_place(each)}"


def _later(follow_up: Json, ended: str) -> Iterator[str]:
    if follow_up.get("status") != "ok":
        yield f"afterwards unavailable: {follow_up.get('reason') or 'no reason given'}"
        return
    there = "; ".join(_process(each) for each in _processes(follow_up)) or "no process"
    yield f"afterwards ({ended}): {there}"


def _processes(gpu: Json) -> Iterator[Json]:
    for device in objects(gpu.get("devices")):
        yield from objects(device.get("processes"))


def _number(values: Json, name: str, unit: str) -> str:
    value = values.get(name)
    return f"{value:g} {unit}" if isinstance(value, int | float) else f"{name} unknown"


def _gib(value: Any) -> str:
    return f"{value / GIB:.1f} GiB" if isinstance(value, int | float) else "memory unknown"


def moments(after: Json) -> list[str]:
    """The moments that a record follows up; none where it is no such record."""
    found = after.get("moments") if after.get("kind") == "gpu-after" else None
    return list(map(str, found)) if isinstance(found, list) else []


def objects(value: Any) -> list[Json]:
    """The objects of a list, whatever stands there."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
