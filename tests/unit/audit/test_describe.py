"""Values become JSON-ready without loss and without surprise."""

import json
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.actor import Actor, Process
from firewall.audit.describe import describe, plain, text
from firewall.requests import Connect, Finding
from firewall.verdict import Action, Severity, Verdict

PYTHON = Process(4711, 12.5, "/usr/bin/python3", ("python3", "train.py"), 1000)


def test_nested_dataclasses_tuples_and_enums() -> None:
    actor = Actor("s1", PYTHON, (PYTHON,), namespace=7)
    assert describe(actor) == {
        "sandbox": "s1",
        "process": {
            "pid": 4711,
            "started": 12.5,
            "exe": "/usr/bin/python3",
            "argv": ["python3", "train.py"],
            "uid": 1000,
        },
        "ancestors": [describe(PYTHON)],
        "namespace": 7,
        "container": None,
        "tool_call": None,
        "unknown": "",
        "uid": None,
    }


def test_enums_stand_as_their_plain_values() -> None:
    described = describe(Verdict(Action.DENY, "default", "why", Severity.CRITICAL))
    assert (described["action"], described["severity"]) == ("deny", "critical")
    assert type(described["action"]) is str
    assert described["obligations"] == {
        "tls": "inspect",
        "ssh": "none",
        "tool_calls": False,
        "inject": [],
        "limits": [],
    }


def test_findings_become_a_list_of_objects() -> None:
    finding = Finding("mining", "stratum-v1", "login", "first bytes")
    described = describe(Connect("pool.test", 3333, findings=(finding,)))
    assert described["findings"] == [
        {
            "kind": "mining",
            "name": "stratum-v1",
            "evidence": "login",
            "where": "first bytes",
            "confidence": "certain",
        }
    ]


def test_what_is_no_dataclass_is_refused() -> None:
    with pytest.raises(TypeError):
        describe({"kind": "verdict"})


class _Level(IntEnum):
    HIGH = 3


@dataclass
class _Odd:
    path: Path
    raw: bytes
    level: _Level
    table: dict[Any, Any]


def test_members_that_json_does_not_know() -> None:
    odd = _Odd(Path("/a"), b"\xffok", _Level.HIGH, {1: (2, 3)})
    expected = {"path": "/a", "raw": r"\xffok", "level": 3, "table": {"1": [2, 3]}}
    assert describe(odd) == expected
    assert plain(odd) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("nul\0", "nul\0"),
        (b"\xc3\xa9\xff", "é\\xff"),
        (Path("/tmp"), "/tmp"),
    ],
)
def test_text_is_always_what_utf8_can_hold(value: Any, expected: str) -> None:
    assert text(value) == expected


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_cannot_be_printed_is_named() -> None:
    assert plain([_Hostile()]) == ["[unprintable _Hostile]"]


def test_a_cyclic_value_ends() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert "[nested too deep]" in json.dumps(plain(cycle))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(float("nan"), "nan"), (float("-inf"), "-inf"), (1 << 70, hex(1 << 70))],
)
def test_numbers_that_json_readers_disagree_about_become_text(number: float, expected: str) -> None:
    assert plain(number) == expected


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
)


@given(ANYTHING)
def test_anything_becomes_strict_json(value: Any) -> None:
    json.dumps(plain(value), allow_nan=False).encode("ascii")
