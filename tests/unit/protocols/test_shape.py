"""The shape of flows nobody can read: miners grow suspicious, most long-lived flows do not."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.shape import LEAST_SECONDS, Shape
from firewall.requests import Finding
from tests.unit.protocols.flows import BENIGN, Kind, Move, commanded_sensor, miner


def findings(moves: Iterable[Move], *, named: bool = True, protocols: bool = True) -> list[Finding]:
    shape = Shape(named=named, protocols=protocols)
    return [each for move in moves for each in shape.feed(*move)]


@pytest.mark.parametrize("seed", range(20))
def test_a_miner_is_suspicious_also_with_a_name(seed: int) -> None:
    (finding,) = findings(miner(random.Random(seed)))
    assert (finding.kind, finding.name) == ("mining", "encrypted-shape")
    assert finding.confidence == "suspicious"
    assert "answered at once" in finding.evidence
    assert "a server name, some ALPN" in finding.evidence
    assert finding.where == "the whole flow"


def test_no_name_and_no_protocols_raise_the_score() -> None:
    (finding,) = findings(miner(random.Random(1)), named=False, protocols=False)
    assert finding.evidence.startswith("score 1.0 of 1")
    assert "no server name, no ALPN" in finding.evidence


def test_a_self_signed_certificate_raises_the_score_a_little() -> None:
    told = []
    for self_signed in (False, True):
        shape = Shape(named=True, protocols=True)
        shape.self_signed = self_signed
        told += [each.evidence for move in miner(random.Random(1)) for each in shape.feed(*move)]
    assert [each.partition(" of 1")[0] for each in told] == ["score 0.8", "score 0.9"]
    assert [each.endswith("a self-signed certificate") for each in told] == [False, True]


def test_a_certificate_for_other_names_counts_as_much_once() -> None:
    told = []
    for self_signed in (False, True):
        shape = Shape(named=True, protocols=True)
        shape.misnamed, shape.self_signed = True, self_signed
        told += [each.evidence for move in miner(random.Random(1)) for each in shape.feed(*move)]
    assert [each.partition(" of 1")[0] for each in told] == ["score 0.9", "score 0.9"]
    assert all(each.endswith(", a certificate for other names") for each in told)


def test_nothing_is_said_of_a_young_flow() -> None:
    moves = [move for move in miner(random.Random(1)) if move[0] < LEAST_SECONDS]
    assert findings(moves, named=False, protocols=False) == []


@pytest.mark.parametrize("kind", BENIGN.values(), ids=BENIGN.keys())
@pytest.mark.parametrize("seed", range(20))
def test_long_lived_honest_flows_are_not(kind: Kind, seed: int) -> None:
    assert findings(kind(random.Random(seed))) == []


def test_what_it_cannot_tell() -> None:
    """Told here so that nobody claims otherwise: some honest flows have a miner's shape."""
    assert findings(commanded_sensor(random.Random(1)), protocols=False)


def test_a_large_transfer_clears_a_flow() -> None:
    moves = [(now + 0.001, side, size + 9000) for now, side, size in miner(random.Random(1))]
    assert findings(moves, named=False, protocols=False) == []


MOVES = st.tuples(st.floats(0, 90), st.sampled_from(["sent", "received"]), st.integers(0, 3000))


@given(st.lists(MOVES, max_size=200))
def test_bounded_and_calm(steps: list[Move]) -> None:
    shape = Shape(named=False, protocols=False)
    now, told = 0.0, 0
    for gap, side, size in steps:
        now += gap
        told += len(shape.feed(now, side, size))
    assert told <= 1
    assert 0 <= shape.score(now) <= 1
    assert all(len(side.sizes) <= 64 for side in shape._sides.values())
