"""Sliding windows: never more than the limit in any window, and few numbers kept."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.windows import ITEMS, SLOTS, Distinct, Sum

WINDOW = 60.0
STEPS = st.lists(
    st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 50)), min_size=1, max_size=60
)


@given(STEPS)
def test_no_window_holds_more_than_was_let_through(steps: list[tuple[float, int]]) -> None:
    limit, now, window = 100, 0.0, Sum(WINDOW)
    passed: list[tuple[float, int]] = []
    for pause, amount in steps:
        now += pause
        if window.used(now) + amount <= limit:
            window.add(now, amount)
            passed.append((now, amount))
    for end, _ in passed:
        assert sum(amount for at, amount in passed if end - WINDOW < at <= end) <= limit


@given(STEPS)
def test_room_comes_back_when_it_was_promised_and_within_a_slot_of_the_window(
    steps: list[tuple[float, int]],
) -> None:
    now, window = 0.0, Sum(WINDOW)
    for pause, amount in steps:
        now += pause
        window.add(now, amount)
    used = window.used(now)
    for surplus in (1, used):
        wait = window.wait(now, surplus)
        assert 0 < wait <= WINDOW + WINDOW / SLOTS
        assert window.copy().used(now + wait * 0.999 - 0.001) > used - surplus
        assert window.copy().used(now + wait + 0.001) <= used - surplus


@given(st.lists(st.tuples(st.floats(0, 40), st.sampled_from("abcdefgh")), max_size=60))
def test_no_window_has_more_names_than_were_let_through(steps: list[tuple[float, str]]) -> None:
    limit, now, window = 3, 0.0, Distinct(WINDOW)
    passed: list[tuple[float, str]] = []
    for pause, name in steps:
        now += pause
        if window.used(now) + window.cost(now, 1, name) <= limit:
            window.add(now, 1, name)
            passed.append((now, name))
    for end, _ in passed:
        assert len({name for at, name in passed if end - WINDOW < at <= end}) <= limit


def test_a_name_that_is_used_again_stays_and_costs_nothing() -> None:
    window = Distinct(WINDOW)
    for second in range(0, 600, 30):
        assert window.cost(second, 1, "a") == (1 if second == 0 else 0)
        window.add(second, 1, "a")
    assert window.wait(570, 1) == pytest.approx(WINDOW + WINDOW / SLOTS)


def test_few_numbers_are_kept_of_many() -> None:
    window, names = Sum(WINDOW), Distinct(WINDOW)
    for number in range(20_000):
        window.add(number / 100, 1)
        names.add(1.0, 1, f"host-{number}")
    assert len(window._slots) == SLOTS + 1
    assert names.used(1.0) == ITEMS


def test_a_clock_that_another_thread_read_earlier_is_no_trouble() -> None:
    window = Sum(WINDOW)
    window.add(10.0, 1)
    window.add(7.0, 1)
    assert window.used(10.0) == 2
    assert window.used(10.0 + WINDOW + WINDOW / SLOTS) == 0


def test_nothing_has_to_be_waited_for_where_nothing_counts() -> None:
    assert (Sum(WINDOW).wait(0.0, 1), Distinct(WINDOW).wait(0.0, 1)) == (0.0, 0.0)


@example(92324.42350364331, 761220)
@given(st.floats(1, 1e5), st.integers(1, 10**6))
def test_what_still_counts_has_a_wait(seconds: float, started: int) -> None:
    """Also at a slot's very end, where sums of fractions may disagree: 0 would say that no time
    helps."""
    slot = seconds / SLOTS
    now = (int(started * slot / slot) + SLOTS + 1) * slot
    for window in (Sum(seconds), Distinct(seconds)):
        window.add(started * slot, 1, "a")
        assert window.used(now) == 0 or window.wait(now, 1) > 0
