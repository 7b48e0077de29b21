"""What a record says of a reading."""

import json
from typing import Any

from firewall.actor import Actor
from firewall.gpu.snapshot import busy, devices, line
from firewall.gpu.view import DeviceView, GpuView, ProcessView

PROCESS = ProcessView(7, started=1.0, argv=("a", "b"), namespace=77, sm=93)
GPU = DeviceView(
    "0", "GPU-1", "H200", utilisation=93, throttle=("x",), processes=(PROCESS,), power_watts=6.5
)
VIEW = GpuView(1_790_000_000.25, 5.0, (GPU, DeviceView("1", "GPU-2", "H200")))


def test_the_devices_are_json_ready_and_joined_with_the_actor() -> None:
    told = devices(VIEW, Actor("s", namespace=77))
    assert json.loads(json.dumps(told)) == told
    assert (told[0]["utilisation"], told[0]["throttle"]) == (93, ["x"])
    assert told[0]["processes"][0]["argv"] == ["a", "b"]
    assert told[0]["processes"][0]["relation"] == "same sandbox"
    assert (told[1]["utilisation"], told[1]["processes"]) == (None, None)


def test_without_an_actor_there_is_no_relation() -> None:
    assert "relation" not in devices(VIEW)[0]["processes"][0]


def test_a_line_has_an_item_for_each_device() -> None:
    assert line(VIEW) == {
        "sampled_at": "2026-09-21T14:13:20.250Z",
        "utilisation": [93, None],
        "memory_used": [None, None],
        "power_watts": [6.5, None],
    }


def test_a_reading_that_failed_says_so() -> None:
    assert line(GpuView(1_790_000_000, 5.0, unavailable="lost")) == {
        "sampled_at": "2026-09-21T14:13:20.000Z",
        "unavailable": "lost",
    }


def _snapshot(relation: str, sm: int | None, utilisation: int | None) -> dict[str, Any]:
    process = {"pid": 7, "relation": relation, "sm": sm}
    idle = {"index": 0, "utilisation": 0, "processes": None}
    return {"devices": [idle, {"index": 1, "utilisation": utilisation, "processes": [process]}]}


def test_busy_is_said_of_the_actor_s_own_work_only() -> None:
    said = "process 7 (same sandbox) uses GPU 1 at 97 %"
    assert busy(_snapshot("same sandbox", sm=97, utilisation=99)) == said
    assert busy(_snapshot("same sandbox", sm=None, utilisation=97)) == said
    for relation, sm, utilisation in (
        ("none", 97, 99),
        ("unknown", 97, 99),
        ("descendant", 3, 99),
        ("ancestor", None, None),
    ):
        assert busy(_snapshot(relation, sm, utilisation)) == ""
    assert busy({"status": "unavailable", "reason": "no driver"}) == ""
