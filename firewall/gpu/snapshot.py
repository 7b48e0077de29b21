"""What a record says of the GPUs: a reading as JSON, its processes joined with who asked."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from firewall.actor import Actor
from firewall.gpu.relation import OWN, in_sandbox, relation
from firewall.gpu.view import DeviceView, GpuView, ProcessView

BUSY = 20
"""Per cent of a GPU from which work is no accident: desktops and idle notebooks stay below."""


_DEVICE = tuple(each.name for each in fields(DeviceView))
_PROCESS = tuple(each.name for each in fields(ProcessView))


def devices(view: GpuView, actor: Actor | None = None) -> list[dict[str, Any]]:
    """The devices, JSON-ready; for an actor each process says its `relation` to it."""
    return [_device(device, actor) for device in view.devices]


def _device(device: DeviceView, actor: Actor | None) -> dict[str, Any]:
    told = {name: getattr(device, name) for name in _DEVICE}
    told["throttle"] = None if device.throttle is None else list(device.throttle)
    told["unavailable"] = dict(device.unavailable)
    if device.processes is not None:
        told["processes"] = [_process(each, actor) for each in device.processes]
    return told


def _process(process: ProcessView, actor: Actor | None) -> dict[str, Any]:
    told = {name: getattr(process, name) for name in _PROCESS}
    told |= {"argv": list(process.argv), "ancestors": list(process.ancestors)}
    if actor is not None:
        sandbox = actor.sandbox if in_sandbox(process, actor) else process.sandbox
        told |= {"sandbox": sandbox, "relation": relation(process, actor)}
    return told


def brief(told: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot whose moment other records tell whole: what is its actor's own."""
    own = [{**each, "processes": _own(each["processes"])} for each in told["devices"]]
    reason = told["reason"] or "the first record of this moment tells the rest"
    return {**told, "reason": reason, "devices": own, "history": [], "before": None}


def _own(processes: Sequence[Mapping[str, Any]] | None) -> list[Mapping[str, Any]] | None:
    return None if processes is None else [each for each in processes if each["relation"] in OWN]


def line(view: GpuView) -> dict[str, Any]:
    """A reading as the time line keeps it: one list per quantity, one item per device."""
    sampled_at = rfc3339(view.at)
    if view.unavailable:
        return {"sampled_at": sampled_at, "unavailable": view.unavailable}
    return {
        "sampled_at": sampled_at,
        "utilisation": [each.utilisation for each in view.devices],
        "memory_used": [each.memory_used for each in view.devices],
        "power_watts": [each.power_watts for each in view.devices],
    }


def rfc3339(moment: float) -> str:
    """Seconds since the epoch in words, in UTC with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def busy(snapshot: Mapping[str, Any]) -> str:
    """The GPU work of the sandbox that a snapshot was taken for, in words; "" where it has none.

    A device that does not say what each process uses is taken at its whole.
    """
    for device in snapshot.get("devices", ()):
        for process in device["processes"] or ():
            use = device["utilisation"] if process["sm"] is None else process["sm"]
            if process["relation"] in OWN and use is not None and use >= BUSY:
                who = f"process {process['pid']} ({process['relation']})"
                return f"{who} uses GPU {device['index']} at {use} %"
    return ""
