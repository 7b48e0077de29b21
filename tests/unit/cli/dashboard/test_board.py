"""The board shows what is newest, stays small, and tells each client only what changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from firewall.cli.dashboard.board import ALERTS, ATTEMPTS, Board
from firewall.cli.dashboard.server import event
from firewall.cli.markup import element
from tests.unit.cli.test_report import EVIL, gpu

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def board() -> Board:
    return Board("noon", element("section", id="verification"))


def blocked(seconds: int = 0, moment: str = "m1", why: str = "no rule allows it") -> dict[str, Any]:
    return {
        "kind": "verdict",
        "time": f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}",
        "verdict": {"action": "deny", "rule": "default", "reason": why},
        "gpu": gpu(1, 2) | {"moment": moment},
    }


def test_a_flood_leaves_the_newest_and_counts_all() -> None:
    full = board()
    for second in range(ATTEMPTS + 100):
        full.take(blocked(second))
        full.take({"kind": "gpu-alert", "reason": "odd"})
    frames = full.frames()
    shown = [name for name in frames if name.startswith("attempt-")]
    assert (len(shown), shown[0], shown[-1]) == (ATTEMPTS, "attempt-101", "attempt-300")
    assert "600 records, 300 of them blocked attempts, since noon" in frames["facts"]
    assert frames["alerts"].count("gpu-alert") == ALERTS


def test_what_was_before_is_shown_and_not_counted() -> None:
    old = board()
    old.remember([blocked()])
    frames = old.frames()
    assert "attempt-1" in frames
    assert "0 records" in frames["facts"]


def test_what_followed_is_told_with_its_attempt() -> None:
    followed = board()
    followed.take(blocked(moment="m1"))
    followed.take(blocked(moment="m2"))
    before = followed.frames()
    followed.take({"kind": "gpu-after", "moments": ["m1"], "ended": "over", "gpu": gpu(3)})
    after = followed.frames()
    assert "afterwards (over)" in after["attempt-1"]
    assert before["attempt-2"] == after["attempt-2"]


def test_the_time_line_forgets_what_is_long_past() -> None:
    late = board()
    late.take(blocked())
    assert "GPU 0" in late.frames()["gpus"]
    late.take(blocked(7_200) | {"gpu": {}})
    assert "No record tells what a GPU did." in late.frames()["gpus"]


def test_a_hostile_word_is_one_text() -> None:
    hostile = board()
    hostile.take(blocked(why=EVIL))
    drawn = json.loads(hostile.frames()["attempt-1"])
    assert EVIL.replace("\x1b", "\\x1b").replace("\n", "\\n") in _texts(drawn)


def _texts(tree: list[Any]) -> list[str]:
    return [
        text for child in tree[2] for text in ([child] if isinstance(child, str) else _texts(child))
    ]


def test_a_client_hears_what_changed_and_what_is_gone() -> None:
    assert event({}, {"a": "[1]"}) == b'data: {"a":[1]}\n\n'
    assert event({"a": "[1]", "b": "[2]"}, {"b": "[3]", "c": "[4]"}) == (
        b'data: {"b":[3],"c":[4],"a":null}\n\n'
    )
    assert event({"a": "[1]"}, {"a": "[1]"}) == b":\n\n"
