"""The bench finds what it should, and bounds rates as statistics do."""

import pytest

from tests.bench.benign import requests
from tests.bench.leaks import PLACES, SPELLINGS, alarms, bound, recall


@pytest.mark.parametrize(
    ("wrong", "count", "expected"), [(0, 10_000, 0.0003), (0, 59, 0.0495), (5, 100, 0.1023)]
)
def test_bounds(wrong: int, count: int, expected: float) -> None:
    assert bound(wrong, count) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("place", PLACES)
def test_every_secret_is_found_as_it_is(place: str) -> None:
    found, count = recall(PLACES[place], SPELLINGS["as it is"])
    assert found == count


def test_what_is_encoded_twice_is_not() -> None:
    assert recall(PLACES["body"], SPELLINGS["base64 of base64"])[0] == 0


def test_honest_requests_are_let_alone() -> None:
    assert [each.kind for each in requests(140, seed=9) if alarms(each)] == []
