"""Each moment that a record told of is followed once, and floods are told together."""

from collections.abc import Mapping
from typing import Any

import pytest

from firewall.gpu.aftermath import AFTER, GROUP, LIMIT, Aftermath
from firewall.gpu.view import DeviceView, GpuView

type Facts = list[Mapping[str, Any]]


def reading(taken: float, use: int = 93) -> GpuView:
    device = DeviceView("0", "GPU-1", "H200", utilisation=use)
    return GpuView(1_790_000_000 + taken, taken, (device,))


@pytest.fixture
def told() -> Facts:
    return []


@pytest.fixture
def aftermath(told: Facts) -> Aftermath:
    made = Aftermath()
    made.tell = told.append
    return made


def pass_time(aftermath: Aftermath, start: float, end: float) -> None:
    """A reading a second, as the sampler makes them."""
    readings = [reading(at, int(at) % 100) for at in range(int(start), int(end) + 1)]
    for each in readings:
        aftermath.due(each.taken, lambda: readings)


def test_a_moment_is_followed_for_a_minute(aftermath: Aftermath, told: Facts) -> None:
    aftermath.add("m-1", 100.5)
    pass_time(aftermath, 90, 100 + AFTER + GROUP)
    assert told == []
    pass_time(aftermath, 90, 110 + AFTER + GROUP)
    (facts,) = told
    assert (facts["moments"], facts["ended"]) == (["m-1"], "a minute has passed")
    history = facts["gpu"]["history"]
    assert [each["utilisation"] for each in history[:2]] == [[1], [2]], "101 is the first after"
    assert len(history) >= AFTER
    assert facts["gpu"]["devices"][0]["index"] == "0"


def test_a_flood_is_told_together(aftermath: Aftermath, told: Facts) -> None:
    moments = [f"m-{number}" for number in range(40)]
    for number, moment in enumerate(moments):
        aftermath.add(moment, 100 + number / 10)
        aftermath.add(moment, 100 + number / 10 + 0.05)
    pass_time(aftermath, 100, 100 + AFTER + GROUP)
    (facts,) = told
    assert facts["moments"] == moments
    pass_time(aftermath, 100, 300)
    assert len(told) == 1


def test_a_long_flood_has_one_follow_up_in_a_group(aftermath: Aftermath, told: Facts) -> None:
    for at in range(100, 130):
        aftermath.add(f"m-{at}", at)
    pass_time(aftermath, 100, 250)
    assert sum(len(each["moments"]) for each in told) == 30
    assert len(told) <= 30 / GROUP + 1


def test_what_waits_is_bounded_and_the_rest_is_counted(aftermath: Aftermath, told: Facts) -> None:
    for number in range(LIMIT + 7):
        aftermath.add(f"m-{number}", 100)
    aftermath.add("m-0", 101)
    aftermath.stop(110, [reading(105)])
    (facts,) = told
    assert (len(facts["moments"]), facts["missed"]) == (LIMIT, 7)
    assert facts["ended"] == "the firewall stopped"
    assert facts["gpu"]["history"][0]["utilisation"] == [93]


def test_without_a_reading_after_it_nothing_is_claimed(aftermath: Aftermath, told: Facts) -> None:
    aftermath.add("m-1", 100)
    aftermath.stop(100.1, [reading(99)])
    assert told[0]["gpu"] == {"status": "unavailable", "reason": "there was no reading after it"}


def test_a_driver_that_was_lost_is_told(aftermath: Aftermath, told: Facts) -> None:
    aftermath.add("m-1", 100)
    aftermath.stop(110, [reading(101), GpuView(5, 105, unavailable="GPU is lost")])
    gpu = told[0]["gpu"]
    assert (gpu["status"], gpu["reason"], gpu["devices"]) == ("unavailable", "GPU is lost", [])
    assert gpu["history"][1]["unavailable"] == "GPU is lost"


def test_what_the_log_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(facts: Mapping[str, Any]) -> None:
        raise RuntimeError("no log")

    aftermath = Aftermath()
    aftermath.tell = fail
    aftermath.add("m-1", 100)
    aftermath.stop(110, [])
    assert "the minute after could not be told" in caplog.text


def test_where_nobody_listens_nothing_is_kept() -> None:
    aftermath = Aftermath()
    aftermath.add("m-1", 100)
    aftermath.stop(110, [])
