"""The depth process asks the gate to count: exact for both, and no fault lets anything pass."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.quotalink import AHEAD, RemoteQuota, charge_for
from firewall.quota import Due, Excess
from firewall.verdict import Limit
from tests.unit.proxy.stage import Memory

LIMIT = Limit("api", "sent", 100, 60, "host", "100B/min", "p.yaml:7")


class Bench:
    """A gate's judge and a depth process, with a channel that carries JSON between them."""

    def __init__(self, folder: Path) -> None:
        path = folder / "p.yaml"
        path.write_text("version: 1\nname: p\n")
        self.memory = Memory()
        self.judge = Judge(load_policy(path), self.memory, self.memory, self.memory)
        self.now = 0.0
        self.asked = 0
        self.remote = RemoteQuota(self._to_gate, lambda: self.now)

    def _to_gate(self, kind: str, body: dict[str, Any]) -> None:
        assert kind == "charge"
        self.asked += 1
        charge_for(self.judge, json.loads(json.dumps(body)), self._to_depth)

    def _to_depth(self, kind: str, body: dict[str, Any]) -> None:
        assert kind == "charged"
        self.remote.answered(json.loads(json.dumps(body)))

    def charge(
        self, amount: int, *, anyway: bool = False, limit: Limit = LIMIT
    ) -> Excess | Exception | None:
        told: list[Excess | Exception | None] = []
        self.remote.charge([Due(limit, "a.test", amount)], told.append, anyway=anyway)
        (found,) = told
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_either_allows_is_counted_for_both(bench: Bench) -> None:
    assert bench.charge(60) is None
    assert bench.judge.quota.left([Due(LIMIT, "a.test", 1)]) == 40
    bench.judge.quota.charge([Due(LIMIT, "a.test", 30)], lambda _: None)
    excess = bench.charge(11)
    assert isinstance(excess, Excess)
    assert (excess.limit, excess.subject, excess.used) == (LIMIT, "a.test", 90)
    assert 0 < excess.wait <= 62
    assert bench.charge(10) is None
    assert isinstance(bench.charge(5, anyway=True), Excess)
    assert bench.judge.quota.states([LIMIT])[0].left == 0
    assert bench.remote.states([LIMIT]) == (), "the gate tells"


def test_a_fault_in_the_gate_denies_in_depth(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(point: str) -> None:
        if point == "gate.charge":
            raise ValueError("a fault")

    monkeypatch.setattr(firewall.judge, "probe", broken)
    told = bench.charge(1)
    assert isinstance(told, RuntimeError)
    assert "the gate could not count this" in str(told)
    (event,) = bench.memory.records
    assert event["verdict"]["rule"] == "fail-closed.gate.charge"


def test_only_the_gate_knows_what_is_left(bench: Bench) -> None:
    with pytest.raises(NotImplementedError):
        bench.remote.left([Due(LIMIT, "a.test", 1)])


MUCH = replace(LIMIT, amount=50_000_000, written="50MB/min")
PIECE = 65_536


def test_where_much_moves_some_is_asked_for_ahead_and_never_too_much(bench: Bench) -> None:
    passed = 0
    while (told := bench.charge(PIECE, limit=MUCH)) is None:
        passed += PIECE
    assert isinstance(told, Excess)
    assert 48_000_000 < passed <= MUCH.amount
    assert bench.asked < passed / PIECE / 5, "most pieces need not wait for the gate"


def test_what_was_asked_for_ahead_is_not_kept(bench: Bench) -> None:
    for _ in range(100):
        bench.charge(PIECE, limit=MUCH)
    (credit,) = bench.remote._credits.values()
    assert credit.left > 0
    bench.now += 1.0
    before = bench.asked
    bench.charge(1, limit=MUCH)
    assert bench.asked == before + 1
    (credit,) = bench.remote._credits.values()
    assert credit.left == 0
    used = MUCH.amount - bench.judge.quota.left([Due(MUCH, "a.test", 1)])
    assert 100 * PIECE < used <= 100 * PIECE * 9 / 8 + AHEAD[1]


def test_little_is_counted_to_the_byte(bench: Bench) -> None:
    for _ in range(200):
        bench.charge(2_000, limit=MUCH)
        bench.now += 0.1
    assert bench.judge.quota.left([Due(MUCH, "a.test", 1)]) == MUCH.amount - 400_000
