"""The depth process asks the gate to count: exact for both, and no fault lets anything pass."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import firewall.judge
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.quotalink import AHEAD, RemoteQuota, charge_for
from firewall.quota import Due, Excess, Ledger
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


def test_what_could_not_be_counted_leaves_nothing_for_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(16):
        assert bench.charge(PIECE, limit=MUCH) is None
    (credit,) = bench.remote._credits.values()
    monkeypatch.setattr(firewall.judge, "probe", lambda _: 1 // 0)
    while not isinstance(bench.charge(PIECE, limit=MUCH), RuntimeError):
        pass
    assert credit.left < PIECE


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


def test_many_streams_at_once_ask_no_more_ahead_than_one(bench: Bench) -> None:
    waiting: list[dict[str, Any]] = []
    bench.remote = RemoteQuota(lambda _, body: waiting.append(body), lambda: bench.now)
    told: list[object] = []
    for _ in range(400):
        bench.remote.charge([Due(MUCH, "a.test", PIECE)], told.append)
    asked = sum(each["dues"][0]["amount"] for each in waiting)
    assert 400 * PIECE < asked <= 400 * PIECE + AHEAD[1]
    for body in waiting:
        bench._to_gate("charge", body)
    assert told == [None] * 400


def test_little_is_counted_to_the_byte(bench: Bench) -> None:
    for _ in range(200):
        bench.charge(2_000, limit=MUCH)
        bench.now += 0.1
    assert bench.judge.quota.left([Due(MUCH, "a.test", 1)]) == MUCH.amount - 400_000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["depth", "depth", "depth", "gate"]),
        st.floats(0, 0.9),
        st.integers(1, 4_000_000),
        st.sampled_from([20_000_000, 50_000_000]),
    ),
    max_size=60,
)


@example(
    [("depth", 0.0, 1_000_000, 50_000_000)] * 15  # which asks ahead
    + [("depth", 0.07, 100_000, 50_000_000)] * 1  # what was counted in the slot before
    + [("depth", 0.0, 100_000, 50_000_000)] * 8
    + [("gate", 0.9, 1, 50_000_000)] * 2
    + [("gate", 0.198, 4_000_000, 50_000_000)]  # that slot counts no more
    + [("gate", 0.0, 4_000_000, 50_000_000)] * 12
    + [("gate", 0.0, 100_000, 50_000_000)] * 40
)
@given(STEPS)
def test_whoever_moves_it_and_whenever_no_window_holds_more_than_the_limit(
    steps: list[tuple[str, float, int, int]],
) -> None:
    """A model that knows only what has passed and when. The amount changes as by new policies."""
    bench = Bench.__new__(Bench)
    bench.now, bench.asked, bench.memory = 0.0, 0, Memory()
    ledger = Ledger(lambda: bench.now)
    bench.judge = cast("Any", SimpleNamespace(quota=ledger))
    bench.remote = RemoteQuota(bench._to_gate, lambda: bench.now)
    passed: list[tuple[float, int]] = []
    most = 0
    for who, pause, size, amount in steps:
        bench.now += pause
        limit = replace(MUCH, amount=amount, seconds=2)
        told: list[object] = []
        counts = bench.remote if who == "depth" else ledger
        counts.charge([Due(limit, "a.test", size)], told.append)
        if told == [None]:
            passed.append((bench.now, size))
            most = max(most, amount)
            window = sum(each for at, each in passed if bench.now - 2 < at <= bench.now)
            assert window <= most
