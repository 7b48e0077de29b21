"""A checkpoint's line is taken apart as it was put together, and nothing else is one."""

import base64
import json
from typing import Any

import pytest

from firewall.audit.checkpoint import Checkpoint, Head, Root
from firewall.notes import SigningKey, sign

STATEMENT: dict[str, Any] = {
    "checkpoint": 7,
    "time": "2026-01-31T12:00:00.000000Z",
    "monotonic_ns": 5,
    "boot_id": "b",
    "heads": {
        "a": {"seq": 3, "hash": "ff"},
        "b": {"seq": 9, "hash": "ee", "first": 4, "prev": "dd"},
    },
}


def line(statement: Any, **members: Any) -> bytes:
    outer = {"statement": json.dumps(statement, separators=(",", ":")), "note": "n", **members}
    return json.dumps(outer, separators=(",", ":")).encode() + b"\n"


def test_a_line_is_read_and_written_the_same() -> None:
    found = Checkpoint.parse(line(STATEMENT))
    assert (found.number, found.moment, found.boot_id) == (7, 5, "b")
    assert found.heads == {"a": Head(3, "ff"), "b": Head(9, "ee", 4, "dd")}
    assert {name: head.told() for name, head in found.heads.items()} == STATEMENT["heads"]
    assert found.line() == line(STATEMENT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"statement":7,"note":"n"}',
        b'{"statement":"[]","note":"n"}',
        line({**STATEMENT, "checkpoint": True}),
        line({**STATEMENT, "checkpoint": -1}),
        line({**STATEMENT, "monotonic_ns": 1.5}),
        line({**STATEMENT, "heads": {"a": 7}}),
        line({**STATEMENT, "heads": {"a": {"seq": 1 << 64, "hash": ""}}}),
        line(STATEMENT, before=["no hash"]),
        line(STATEMENT, before=["AB" * 32]),
        line(STATEMENT, before=7),
        b"[" * 100_000,
    ],
)
def test_what_is_no_checkpoint(data: bytes) -> None:
    with pytest.raises(ValueError, match="this is no checkpoint"):
        Checkpoint.parse(data)


def test_a_root_is_three_lines() -> None:
    root = Root("origin", 7, bytes(32))
    key = SigningKey.generate("x")
    assert Root.parse(sign(root.text(), key)) == root
    encoded = base64.b64encode(bytes(32)).decode()
    for text in (
        f"origin\n07\n{encoded}\n",
        f"origin\n0\n{encoded}\n",
        f"\n7\n{encoded}\n",
        f"origin\n7\n{encoded}\nmore\n",
        f"origin\n7\n{base64.b64encode(bytes(31)).decode()}\n",
        "origin\n7\n?\n",
    ):
        with pytest.raises(ValueError):
            Root.parse(sign(text, key))
