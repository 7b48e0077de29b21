"""What is alerted, when, on what evidence, and when nothing may be said."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from firewall.actor import Actor, Process
from firewall.gpu.alerts import Alert, Denial
from firewall.gpu.detector import Detector
from firewall.gpu.view import DeviceView, ProcessView
from firewall.verdict import Severity
from firewall.workloads import Band, GpuPolicy, Workload
from tests.unit.gpu.views import JOB, MINER, TRAINER, device, policy, view

type Shown = Callable[[int], DeviceView | None]


def watch(detector: Detector, seconds: Iterable[int], shown: Shown) -> list[tuple[int, str, str]]:
    """Every alert as (second, state, rule); where nothing is shown there is no reading."""
    return [(at, alert.state, alert.rule.name) for at, alert in alerts(detector, seconds, shown)]


def alerts(detector: Detector, seconds: Iterable[int], shown: Shown) -> list[tuple[int, Alert]]:
    found = []
    for second in seconds:
        now = shown(second)
        reading = view(second, now) if now else view(second, unavailable="the driver is gone")
        found += [(second, alert) for alert in detector.see(reading)]
    return found


def test_a_declared_job_is_no_alert() -> None:
    assert watch(Detector(policy(TRAINER)), range(600), lambda at: device(JOB)) == []


def test_nothing_is_unexpected_where_nothing_is_declared() -> None:
    assert watch(Detector(policy()), range(600), lambda at: device(MINER)) == []


def test_an_undeclared_process_is_raised_once_and_cleared_once() -> None:
    detector = Detector(policy(TRAINER))
    shown = lambda at: device(JOB, MINER) if 20 <= at < 100 else device(JOB)  # noqa: E731
    assert watch(detector, range(200), shown) == [
        (30, "raised", "unexpected-process"),
        (100, "cleared", "unexpected-process"),
    ]


def test_an_alert_says_who_what_and_why() -> None:
    (_, alert), *_ = alerts(Detector(policy(TRAINER)), range(12), lambda at: device(JOB, MINER))
    assert alert.reason == (
        "xmrig[200] uses GPU 0 at 95 %; it is no declared workload (nearest: trainer, but for its"
        " program, arguments)"
    )
    assert alert.processes == (MINER,)
    assert alert.evidence["utilisation"] == 95
    assert alert.rule.full_name == "gpu.unexpected-process"
    assert alert.rule.severity is Severity.WARNING


def test_one_that_goes_on_is_told_again_every_ten_minutes() -> None:
    found = watch(Detector(policy(TRAINER)), range(0, 1300, 5), lambda at: device(JOB, MINER))
    assert found == [
        (10, "raised", "unexpected-process"),
        (610, "ongoing", "unexpected-process"),
        (1210, "ongoing", "unexpected-process"),
    ]


def test_short_pauses_do_not_hide_work() -> None:
    pulsing = lambda at: device(JOB, MINER if at % 10 < 5 else replace(MINER, sm=0))  # noqa: E731
    found = watch(Detector(policy(TRAINER)), range(300), pulsing)
    assert [each[1:] for each in found] == [("raised", "unexpected-process")]


def test_rare_bursts_are_not_yet_work() -> None:
    bursts = lambda at: device(JOB, MINER if at % 60 < 5 else replace(MINER, sm=0))  # noqa: E731
    assert watch(Detector(policy(TRAINER)), range(600), bursts) == []


def test_another_process_of_the_same_pid_is_another_alert() -> None:
    detector = Detector(policy(TRAINER))
    reused = replace(MINER, started=9000.0)
    found = watch(detector, range(60), lambda at: device(JOB, MINER if at < 30 else reused))
    assert [each[:2] for each in found] == [(10, "raised"), (30, "cleared"), (40, "raised")]


def test_who_has_ended_is_not_to_blame_though_nvml_still_tells_of_it() -> None:
    shown = lambda at: device(JOB, MINER if at < 15 else ProcessView(200, sm=95, ended=True))  # noqa: E731
    found = watch(Detector(policy(TRAINER)), range(60), shown)
    assert found == [(10, "raised", "unexpected-process"), (15, "cleared", "unexpected-process")]


def test_no_reading_neither_raises_nor_clears() -> None:
    detector = Detector(policy(TRAINER))
    shown = lambda at: None if 5 <= at < 500 else device(JOB, MINER)  # noqa: E731
    assert watch(detector, range(600), shown) == [(501, "raised", "unexpected-process")]
    unlisted = replace(device(), processes=None, utilisation=None)
    assert watch(detector, range(600, 900), lambda at: unlisted) == []
    assert watch(detector, range(900, 902), lambda at: device(JOB)) == [
        (900, "cleared", "unexpected-process")
    ]


def test_a_process_whose_use_is_not_told_is_not_idle() -> None:
    silent = replace(MINER, sm=None)
    mig = device(replace(JOB, sm=None), silent, utilisation=None, mig=True)
    found = alerts(Detector(policy(TRAINER)), range(20), lambda at: mig)
    assert [(at, each.processes) for at, each in found] == [(10, (silent,))]
    assert "holds GPU 0, which does not tell its use" in found[0][1].reason


def test_who_cannot_be_told_is_not_taken_for_the_declared_job() -> None:
    nobody = replace(JOB, exe=None, argv=())
    ((_, alert),) = alerts(Detector(policy(TRAINER)), range(300), lambda at: device(nobody))
    assert "whether it is trainer cannot be told without its program, arguments" in alert.reason


def test_a_declared_job_elsewhere_is_in_an_unexpected_sandbox() -> None:
    boxed = replace(TRAINER, sandbox="run-*")
    found = alerts(Detector(policy(boxed)), range(12), lambda at: device(JOB))
    assert [each.rule.name for _, each in found] == ["unexpected-sandbox"]
    assert "trainer is not declared for this sandbox" in found[0][1].reason
    inside = replace(JOB, sandbox="run-1")
    assert watch(Detector(policy(boxed)), range(100), lambda at: device(inside)) == []


def test_a_device_that_is_busy_after_its_job_has_gone() -> None:
    detector = Detector(policy(TRAINER, unexpected_process={"respond": "nothing"}))
    found = alerts(detector, range(200), lambda at: device(JOB) if at < 50 else device(MINER))
    assert [(at, each.rule.name) for at, each in found] == [(110, "busy-without-job")]
    assert "GPU 0 is busy at 95 % while trainer does not run there; on it is xmrig[200]" in (
        found[0][1].reason
    )


def test_a_busy_device_that_lists_no_process_is_alerted() -> None:
    found = alerts(Detector(policy(TRAINER)), range(100), lambda at: device(utilisation=80))
    assert [each.rule.name for _, each in found] == ["busy-without-job"]
    assert "no process that it lists" in found[0][1].reason


@pytest.mark.parametrize(
    "unknown",
    [
        replace(device(), processes=None, utilisation=95),
        device(JOB, utilisation=None),
        device(utilisation=None),
    ],
)
def test_a_job_that_cannot_be_seen_is_not_gone(unknown: DeviceView) -> None:
    assert watch(Detector(policy(TRAINER)), range(600), lambda at: unknown) == []


def test_other_devices_than_declared_are_no_job_of_anyone() -> None:
    elsewhere = replace(TRAINER, devices=("1",))
    found = watch(Detector(policy(elsewhere)), range(300), lambda at: device(JOB))
    assert found == [(10, "raised", "unexpected-process")]


# Bands


def _banded(**bands: Band) -> GpuPolicy:
    return policy(replace(TRAINER, **bands), out_of_band={"lasting": 60})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bands", "quantity", "told"),
    [
        ({"utilisation": Band(0, 50)}, "utilisation", "is 90 %, declared are 0 to 50"),
        ({"memory": Band(0, 1e9)}, "memory", "is 8589934592 bytes"),
        ({"power": Band(400, 700)}, "power", "is 300 W, declared are 400 to 700"),
    ],
)
def test_what_is_out_of_its_band(bands: dict[str, Band], quantity: str, told: str) -> None:
    found = alerts(Detector(_banded(**bands)), range(120), lambda at: device(JOB))
    assert [each.rule.name for _, each in found] == ["out-of-band"]
    assert told in found[0][1].reason
    assert found[0][1].evidence["quantity"] == quantity
    assert found[0][0] == 58


def test_phases_shorter_than_half_the_time_are_in_the_band() -> None:
    loading = lambda at: device(replace(JOB, sm=5 if at % 60 < 25 else 95))  # noqa: E731
    assert watch(Detector(_banded(utilisation=Band(60, 100))), range(600), loading) == []


def test_a_use_that_is_not_told_is_in_no_band() -> None:
    silent = device(replace(JOB, sm=None, memory_used=None), utilisation=None, power_watts=None)
    bands = _banded(utilisation=Band(50, 60), memory=Band(1, 2), power=Band(1, 2))
    assert watch(Detector(bands), range(300), lambda at: silent) == []


# Baselines


def _learned(shift: Workload = TRAINER) -> Detector:
    return Detector(policy(shift, baseline_shift={"warm_up": 1800, "lasting": 120}))


def _phases(at: int) -> int:
    """Steps with data loading, and an evaluation of three minutes every fifteen."""
    if at % 900 >= 720:
        return 55
    return 20 if at % 30 == 0 else 95


def test_phases_that_come_back_are_no_shift() -> None:
    shown = lambda at: device(replace(JOB, sm=_phases(at)))  # noqa: E731
    assert watch(_learned(), range(0, 7200, 5), shown) == []


def test_a_level_that_never_was_is_a_shift_and_is_not_learned() -> None:
    shown = lambda at: device(replace(JOB, sm=_phases(at) if at < 3600 else 75))  # noqa: E731
    found = alerts(_learned(), range(0, 7200, 5), shown)
    assert [each.state for _, each in found] == ["raised", *["ongoing"] * 5]
    at, alert = found[0]
    assert alert.rule.name == "baseline-shift"
    assert 3660 <= at <= 3780
    assert alert.evidence["median"] == 75
    assert "utilisation of GPU 0 has been 75 %, which it was not before" in alert.reason


def test_another_run_is_learned_anew() -> None:
    again = replace(JOB, pid=101, started=5000.0, sm=30)
    detector = _learned()
    assert watch(detector, range(0, 3600, 5), lambda at: device(JOB)) == []
    assert watch(detector, range(3600, 7200, 5), lambda at: device(again)) == []


def test_nothing_is_a_shift_before_the_warm_up() -> None:
    found = watch(
        _learned(), range(0, 1700, 5), lambda at: device(replace(JOB, sm=min(at // 17, 100)))
    )
    assert found == []


# The join

WHO = Process(100, 1000.0, "/usr/bin/python3", ("python3",), 0)
OTHER = replace(WHO, pid=999, started=1.0)
OF_JOB = Denial(
    at=100.0,
    rule="guards.mining",
    reason="stratum-v1",
    what="tcp pool.test:3333",
    actor=Actor("run-1", WHO, (replace(WHO, pid=50, started=500.0),), container=""),
    critical=True,
)
FAR = Actor("run-9", OTHER, namespace=2, container="")


@pytest.mark.parametrize(
    ("actor", "relation"),
    [
        (OF_JOB.actor, "same process"),
        (replace(FAR, ancestors=(WHO,)), "ancestor"),
        (replace(FAR, namespace=1), "same sandbox"),
        (replace(FAR, container="c1"), "same container"),
        (replace(FAR, process=replace(WHO, started=77.0)), ""),
        (FAR, ""),
    ],
)
def test_busy_with_denied_egress(actor: Actor, relation: str) -> None:
    detector = Detector(policy())
    job = replace(JOB, container="c1")
    found = detector.see(view(101, device(job)), [replace(OF_JOB, actor=actor)])
    assert [each.rule.name for each in found] == (["busy-with-denied-egress"] if relation else [])
    for alert in found:
        assert alert.rule.severity is Severity.CRITICAL
        assert alert.evidence["denied"][0]["relation"] == relation
        assert f"egress ({relation})" in alert.reason
        assert "met guards.mining: tcp pool.test:3333" in alert.reason


def test_the_join_ends_when_its_time_is_over() -> None:
    detector = Detector(policy())
    detector.see(view(100, device(JOB)), [OF_JOB])
    found = watch(detector, range(101, 300), lambda at: device(JOB))
    assert found == [(161, "cleared", "busy-with-denied-egress")]


def test_work_before_the_denial_counts_and_idleness_does_not() -> None:
    idle = device(replace(JOB, sm=0))
    detector = Detector(policy())
    assert detector.see(view(101, idle), [OF_JOB]) == []
    detector = Detector(policy())
    detector.see(view(60, device(JOB)))
    assert [each.state for each in detector.see(view(101, idle), [OF_JOB])] == ["raised"]


@pytest.mark.parametrize("critical", [True, False])
def test_where_use_is_not_told_only_what_looks_like_mining_joins(critical: bool) -> None:
    silent = device(replace(JOB, sm=None), utilisation=None)
    found = Detector(policy()).see(view(101, silent), [replace(OF_JOB, critical=critical)])
    assert bool(found) is critical
