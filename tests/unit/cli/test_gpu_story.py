"""What the GPUs did around a blocked attempt, for people."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firewall.cli.gpu_story import GAP, WIDTH, gpu_story, moments, spark

MINER = {"pid": 9, "name": "xmrig", "sm": 97, "memory_used": 1 << 30, "sandbox": "rl"}
TRAINER = {
    "pid": 7, "name": "python3", "sm": 90, "memory_used": 2 << 30, "relation": "same sandbox",
    "sandbox": "rl", "container": "c0ffee" * 10, "pod": "", "unit": None,
}  # fmt: skip


def device(use: int, *processes: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": "0", "name": "H200", "utilisation": use, "memory_used": 1 << 30,
        "memory_total": 2 << 30, "power_watts": 600.0, "processes": list(processes),
    }  # fmt: skip


def lines(*use: int | None) -> list[dict[str, Any]]:
    return [{"utilisation": [each]} for each in use]


RECORD: dict[str, Any] = {
    "gpu": {
        "status": "ok",
        "age_ms": 3.5,
        "moment": "m-1",
        "devices": [device(93, TRAINER)],
        "before": {"age_ms": 640.0, "devices": [device(99, TRAINER, MINER)]},
        "history": [*lines(0, 50, 100), {"unavailable": "lost"}],
    }
}
AFTER: dict[str, Any] = {
    "kind": "gpu-after",
    "moments": ["m-1"],
    "ended": "a minute has passed",
    "gpu": {"status": "ok", "history": lines(10, None), "devices": [device(3, TRAINER)]},
}


def test_before_that_moment_and_after() -> None:
    assert list(gpu_story(RECORD, AFTER)) == [
        "read 3.5 ms before",
        "0 H200: 93 %, 1.0 GiB of 2.0 GiB, 600 W",
        "  python3[7] 90 %, 2.0 GiB, relation same sandbox, sandbox rl, container c0ffeec0ffee",
        "  ▁▅█· | █ | ▁·  (the minute before | that moment | the minute after, 0 to 100 %)",
        "gone since 640.0 ms before: xmrig[9] 97 %, 1.0 GiB, sandbox rl",
        "afterwards (a minute has passed): python3[7] 90 %, 2.0 GiB",
    ]


def test_what_is_not_recorded_yet_is_not_claimed() -> None:
    told = list(gpu_story(RECORD))
    assert any(" | █ | not recorded  (" in each for each in told)
    assert not any("afterwards" in each for each in told)


def test_a_driver_that_was_lost_afterwards() -> None:
    lost = {**AFTER, "gpu": {"status": "unavailable", "reason": "GPU is lost", "devices": []}}
    assert list(gpu_story(RECORD, lost))[-1] == "afterwards unavailable: GPU is lost"


def test_what_was_there_before_is_told_where_nothing_can_be_read_now() -> None:
    gpu = {**RECORD["gpu"], "status": "unavailable", "reason": "lost", "devices": []}
    assert list(gpu_story({"gpu": gpu})) == [
        "unavailable: lost",
        "last seen 640.0 ms before: python3[7] 90 %, 2.0 GiB, sandbox rl, container c0ffeec0ffee",
        "last seen 640.0 ms before: xmrig[9] 97 %, 1.0 GiB, sandbox rl",
    ]


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0, 12, 13, 99, 100], "▁▁▂██"),
        ([None, 2147483632, -1, "x", float("nan")], GAP * 5),
        ([0] * WIDTH + [100], "▁" * 15 + "█"),
    ],
)
def test_bars(values: list[Any], bars: str) -> None:
    assert spark(values) == bars


def test_a_minute_has_at_most_its_width() -> None:
    assert len(spark([50] * 61)) <= WIDTH


def test_only_a_follow_up_has_moments() -> None:
    assert moments(AFTER) == ["m-1"]
    assert moments({**AFTER, "kind": "verdict"}) == moments({**AFTER, "moments": 3}) == []


NAMES = st.sampled_from(
    ["gpu", "status", "before", "history", "devices", "utilisation", "processes", "pid", "sandbox"]
)
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, JSON, max_size=4), st.dictionaries(NAMES, JSON, max_size=4))
def test_a_damaged_record_is_told_too(gpu: dict[str, Any], after: dict[str, Any]) -> None:
    assert all(isinstance(each, str) for each in gpu_story({"gpu": gpu}, {"gpu": after}))
