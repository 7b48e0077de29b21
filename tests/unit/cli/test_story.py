"""One record, told: who, what, why, what the GPUs did, and how to allow it."""

from typing import Any

import pytest

from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.cli.story import alert_story, story
from firewall.requests import Connect, Finding
from firewall.verdict import Action, Severity, Verdict

SHELL = Process(4700, 1.0, "/bin/bash", ("bash", "-c", "python3 x.py"), 1000)
PYTHON = Process(4711, 2.0, "/usr/bin/python3", ("python3", "x.py"), 1000)
FINDING = Finding("mining", "stratum-v1", "method mining.subscribe", "first bytes")
GPU: dict[str, Any] = {
    "status": "ok",
    "reason": None,
    "age_ms": 3.5,
    "devices": [
        {
            "index": "0",
            "name": "NVIDIA H200",
            "utilisation": 93,
            "memory_used": 40 << 30,
            "memory_total": 139 << 30,
            "power_watts": None,
            "unavailable": {"power_watts": "Not Supported"},
            "processes": [
                {
                    "pid": 4711,
                    "name": "python3",
                    "sm": 93,
                    "memory_used": 1 << 30,
                    "relation": "same process",
                },
                {"pid": 9, "name": None, "sm": None, "memory_used": None, "relation": "unknown"},
            ],
        }
    ],
}


def record(**changes: Any) -> dict[str, Any]:
    request = Connect("pool.test", 3333, protocol="json-rpc", findings=(FINDING,))
    verdict = Verdict(
        Action.DENY, "guards.mining", "this is mining", Severity.CRITICAL,
        remedy="guards: mining: off", source="base.yaml:3", policy_digest="abc",
    )  # fmt: skip
    return {
        "chain": "gate",
        "seq": 17,
        "time": "2026-11-23T12:03:44.000001Z",
        "kind": "verdict",
        "request": {"type": "Connect", **describe(request)},
        "verdict": describe(verdict),
        "actor": describe(Actor("s1", PYTHON, (SHELL,))),
        "flow": {"bytes_sent": 84},
        "gpu": GPU,
        **changes,
    }


def test_the_whole_story() -> None:
    assert list(story(record())) == [
        "DENY  guards.mining",
        "record gate:17, 2026-11-23T12:03:44.000001Z",
        "",
        "What",
        "  tcp pool.test:3333",
        "  speaking json-rpc",
        "  found mining (stratum-v1): method mining.subscribe, in first bytes",
        "  bytes_sent: 84",
        "",
        "Who",
        "  sandbox s1",
        "  python3[4711]  python3 x.py",
        "    started by bash[4700]  bash -c python3 x.py",
        "",
        "Why",
        "  this is mining",
        "  rule guards.mining at base.yaml:3",
        "  severity critical, policy abc",
        "",
        "GPU",
        "  read 3.5 ms before",
        "  0 NVIDIA H200: 93 %, 40.0 GiB of 139.0 GiB, power_watts unknown",
        "    power_watts unavailable: Not Supported",
        "    python3[4711] 93 %, 1.0 GiB, relation same process",
        "    ?[9] sm unknown, memory unknown, relation unknown",
        "",
        "To allow it",
        "  guards: mining: off",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gpu": {"status": "unavailable", "reason": "no driver"}}, "  unavailable: no driver"),
        ({"gpu": {}}, "  not asked: an allow carries no GPU state"),
        ({"actor": describe(Actor("s1", unknown="it was gone"))}, "  process unknown: it was gone"),
        (
            {"actor": describe(Actor("s1", unknown="it was gone", uid=0))},
            "  process of user 0 unknown: it was gone",
        ),
        ({"verdict": {"action": "allow"}}, "  it was allowed"),
        ({"verdict": {"action": "deny"}}, "  the rule names no way"),
    ],
)
def test_what_is_not_known_is_said(changes: dict[str, Any], told: str) -> None:
    assert told in list(story(record(**changes)))


@pytest.mark.parametrize("member", ["request", "verdict", "actor", "flow", "gpu"])
@pytest.mark.parametrize("value", [None, 5, "\x1b[2J", [], {"\x1b": "\n"}, {"devices": 5}])
def test_a_damaged_record_is_told_without_harm(member: str, value: Any) -> None:
    assert all(line.isprintable() for line in story(record(**{member: value})))


def test_hostile_text_cannot_leave_its_line() -> None:
    hostile = Process(1, 1.0, "/x\n\x1b[31m", ("a\nTo allow it", "\u202e"), 0)
    lines = list(story(record(actor=describe(Actor("s\n", hostile)))))
    assert all(line.isprintable() for line in lines)
    assert lines.count("To allow it") == 1


def test_an_alert_about_gpu_use_is_told_with_its_evidence() -> None:
    denied = {
        "rule": "guards.mining", "reason": "stratum", "what": "Connect pool.test:3333",
        "relation": "same process", "seconds_ago": 2.5,
    }  # fmt: skip
    record = {
        "rule": "gpu.busy-with-denied-egress", "source": "base.yaml:9", "since": "noon",
        "device": {"index": "0", "name": "H200"}, "respond": "freeze", "dry_run": True,
        "processes": [{"pid": 7, "exe": "/tmp/x\x1b", "argv": ["x", "-o"]}],
        "evidence": {"utilisation": 97, "threshold": 20, "denied": [denied]},
    }  # fmt: skip
    told = list(alert_story(record))
    assert told[1:] == [
        "  on GPU 0 H200 since noon",
        "  utilisation: 97",
        "  threshold: 20",
        "  denied 2.5 s before (same process): Connect pool.test:3333, guards.mining: stratum",
        "  rule gpu.busy-with-denied-egress at base.yaml:9, responds by freeze (dry run)",
    ]
    assert "[7]" in told[0]
    assert all(each.isprintable() for each in told)
    assert list(alert_story({})), "a damaged record is told too"
