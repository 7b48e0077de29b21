"""The depth process asks the gate to count: exact for both, and no fault lets anything pass."""

import json
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.quotalink import RemoteQuota, charge_for
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
        self.remote = RemoteQuota(self._to_gate)

    def _to_gate(self, kind: str, body: dict[str, Any]) -> None:
        assert kind == "charge"
        charge_for(self.judge, json.loads(json.dumps(body)), self._to_depth)

    def _to_depth(self, kind: str, body: dict[str, Any]) -> None:
        assert kind == "charged"
        self.remote.answered(json.loads(json.dumps(body)))

    def charge(self, amount: int, *, anyway: bool = False) -> Excess | Exception | None:
        told: list[Excess | Exception | None] = []
        self.remote.charge([Due(LIMIT, "a.test", amount)], told.append, anyway=anyway)
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
