"""`firewall gpu top`: the devices, the processes on them, and whose they are, as they are now."""

import json
import os
import pwd
import queue
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from firewall.cli.lines import printable
from firewall.cli.neighbours import Neighbours
from firewall.gpu import GpuMonitor
from firewall.gpu.snapshot import devices, rfc3339
from firewall.gpu.view import DeviceView, GpuView, ProcessView
from firewall.places import control_directory

FIRST_SECONDS = 10.0
"""How long the first reading may take: without persistence a driver needs seconds to start."""
UNKNOWN = "?"


def show_gpus(*, once: bool, as_json: bool) -> int:
    """Show the GPUs until interrupted; once, the status is 1 where they cannot be read."""
    readings: queue.SimpleQueue[GpuView] = queue.SimpleQueue()
    monitor = GpuMonitor(sandboxes=Neighbours(control_directory()))
    monitor.subscribe(readings.put)
    monitor.start()
    try:
        return _once(readings, as_json=as_json) if once else _live(readings, as_json=as_json)
    except KeyboardInterrupt:
        return 0
    finally:
        monitor.stop()


def _once(readings: "queue.SimpleQueue[GpuView]", *, as_json: bool) -> int:
    try:
        view = readings.get(timeout=FIRST_SECONDS)
    except queue.Empty:
        view = GpuView(time.time(), time.monotonic(), unavailable="the driver does not answer")
    typer.echo(json.dumps(told(view))) if as_json else Console(emoji=False).print(page(view))
    return 1 if view.unavailable else 0


def _live(readings: "queue.SimpleQueue[GpuView]", *, as_json: bool) -> int:
    if as_json:
        while True:
            typer.echo(json.dumps(told(readings.get())))
    with Live(Text("reading the GPUs..."), screen=True, auto_refresh=False) as live:
        while True:
            live.update(page(readings.get()), refresh=True)


def told(view: GpuView) -> Mapping[str, Any]:
    """A reading as one object of JSON."""
    return {
        "at": rfc3339(view.at),
        "status": "unavailable" if view.unavailable else "ok",
        "reason": view.unavailable or None,
        "nvml_ms": round(view.nvml_seconds * 1000, 3),
        "devices": devices(view),
    }


def page(view: GpuView) -> RenderableType:
    """A reading for people; nothing in it can harm a terminal."""
    when = f"{datetime.fromtimestamp(view.at).astimezone():%Y-%m-%d %H:%M:%S}"
    if view.unavailable:
        return Text(f"{when}  the GPUs cannot be read: {printable(view.unavailable)}")
    head = Text(f"{when}  read in {view.nvml_seconds * 1000:.1f} ms")
    return Group(head, _devices(view), _processes(view), *_unread(view))


def _devices(view: GpuView) -> Table:
    columns = ("GPU", "name", "use", "memory", "power", "SM clock", "temp", "held down by", "ECC")
    table = Table(*columns, box=None, pad_edge=False)
    for each in view.devices:
        table.add_row(*map(Text, _device(each)))
    return table


def _device(each: DeviceView) -> tuple[str, ...]:
    return (
        each.index,
        printable(each.name),
        _number(each.utilisation, " %"),
        f"{_gib(each.memory_used)} / {_gib(each.memory_total)}",
        _number(each.power_watts, " W"),
        _number(each.sm_clock_mhz, " MHz"),
        _number(each.temperature_c, " C"),
        UNKNOWN if each.throttle is None else ", ".join(each.throttle),
        _number(each.ecc_uncorrected, ""),
    )


def _processes(view: GpuView) -> Table:
    columns = ("GPU", "pid", "user", "SM", "mem", "memory", "since", "sandbox", "place", "command")
    table = Table(*columns, box=None, pad_edge=False)
    for device in view.devices:
        for each in device.processes or ():
            table.add_row(device.index, *map(Text, _process(each)))
    return table


def _process(each: ProcessView) -> tuple[str, ...]:
    return (
        str(each.pid),
        _user(each.uid),
        _number(each.sm, " %"),
        _number(each.memory_use, " %"),
        _gib(each.memory_used),
        _since(each.started),
        UNKNOWN if each.sandbox is None else each.sandbox or "-",
        printable(_place(each)),
        printable(_command(each), 60),
    )


def _unread(view: GpuView) -> Iterator[Text]:
    """What could not be read, and why: an unknown number is no idle GPU."""
    for device in view.devices:
        for field, reason in device.unavailable.items():
            yield Text(printable(f"GPU {device.index}: {field} unavailable: {reason}"), "dim")


def _number(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:g}{unit}"


def _gib(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value / (1 << 30):.1f} GiB"


def _user(uid: int | None) -> str:
    try:
        return UNKNOWN if uid is None else pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _since(started: float | None) -> str:
    if started is None:
        return UNKNOWN
    minutes = max(int(time.time() - started), 0) // 60
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _place(each: ProcessView) -> str:
    """The container, the pod or the unit that a process runs in."""
    if each.container is None:
        return UNKNOWN
    if each.container:
        return f"{each.container_kind} {each.container[:12]}"
    return f"pod {each.pod}" if each.pod else each.unit or "-"


def _command(each: ProcessView) -> str:
    if each.argv:
        return " ".join((PurePath(each.argv[0]).name, *each.argv[1:]))
    return os.path.basename(each.exe or each.name or UNKNOWN)
