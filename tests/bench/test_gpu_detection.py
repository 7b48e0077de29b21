"""The bench's work is seeded, honest work is no alarm, and what is certain is seen at once."""

from dataclasses import replace
from itertools import islice

import pytest

from firewall.workloads import DEFAULTS
from tests.bench.gpu_detection import (
    ATTACKS,
    BEGIN,
    BENIGN,
    DECLARED,
    DOCS,
    END,
    alarms,
    attacked,
    benign,
    false_alarms,
)
from tests.bench.gpu_shapes import training

QUICK = tuple(replace(each, warm_up=900, lasting=min(each.lasting, 120)) for each in DEFAULTS)
BEGINS = 1500


def first(name: str, seconds: int = 200, begins: int = 60) -> dict[str, int]:
    """The seconds after which each rule saw the attack of this name."""
    attack = next(each for each in ATTACKS if each.name == name)
    readings = islice(attacked(attack, 7, begins), begins + seconds)
    found = list(alarms(readings, DECLARED, QUICK))
    assert all(second >= begins for second, _ in found)
    return {rule: second - begins for second, rule in reversed(found)}


def test_a_seed_is_one_job() -> None:
    assert [next(iter(benign(training, 3, 1))) for _ in range(2)] == [
        next(iter(benign(training, 3, 1)))
    ] * 2
    assert next(iter(benign(training, 4, 1))) != next(iter(benign(training, 3, 1)))


@pytest.mark.parametrize("kind", ["training", "inference"])
def test_honest_work_is_no_alarm(kind: str) -> None:
    found = false_alarms(kind, 2, 1800)
    assert not found, "with default rules there is no false alarm in the first half hour"


def test_what_nobody_declared_is_seen_in_its_time() -> None:
    assert first("miner beside the job")["unexpected-process"] == 10
    assert first("miner after the job has ended")["busy-without-job"] == 60


def test_a_mimic_is_seen_by_its_egress_alone() -> None:
    assert first("miner that mimics the job") == {}
    asking = first("the same, asking for a pool that is denied")
    assert asking == {"busy-with-denied-egress": 0}


def test_memory_of_its_own_gives_a_small_diversion_away() -> None:
    name = "5 % diverted in the job's process, holding memory of its own"
    assert 60 <= first(name, 400, BEGINS)["baseline-shift"] <= 300


def test_the_documented_tables_are_there_whole() -> None:
    told = DOCS.read_text().partition(BEGIN)[2].partition(END)[0]
    names = " | ".join(each.name for each in DEFAULTS)
    for head in (f"| false alarms an hour | {names} | all |", f"after (median) | {names} | any |"):
        assert head in told
    for name in (*BENIGN, *(attack.name for attack in ATTACKS)):
        (row,) = (each for each in told.splitlines() if each.startswith(f"| {name} | "))
        assert row.count("|") == len(DEFAULTS) + 3, f"a cell for each alert, of {name}"
