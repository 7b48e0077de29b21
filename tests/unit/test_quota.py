"""The ledger: all or nothing, each subject for itself, bounded, and never more than the limit."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from firewall.quota import SUBJECTS, Due, Excess, Ledger, span
from firewall.verdict import Limit

SENT = Limit("api", "sent", 100, 60, "rule", "100B/min", "p.yaml:7")
REQUESTS = Limit("api", "requests", 2, 60, "host", "2/min", "p.yaml:8")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def charge(ledger: Ledger, *dues: Due, anyway: bool = False) -> Excess | None:
    told: list[Excess | Exception | None] = []
    ledger.charge(dues, told.append, anyway=anyway)
    (found,) = told
    assert not isinstance(found, Exception)
    return found


def test_all_is_counted_or_nothing() -> None:
    ledger = Ledger(Clock())
    both = (Due(SENT, "", 60), Due(REQUESTS, "a.example", 1))
    assert charge(ledger, *both) is None
    excess = charge(ledger, *both)
    assert excess is not None
    assert (excess.limit, excess.used, excess.subject) == (SENT, 60, "")
    assert charge(ledger, Due(REQUESTS, "a.example", 1)) is None, "the second one was not counted"
    assert charge(ledger, Due(SENT, "", 40)) is None, "and neither were its bytes"
    assert ledger.left([Due(SENT, "", 1)]) == 0


def test_the_reason_tells_the_limit_its_use_and_when_there_is_room() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    charge(ledger, Due(REQUESTS, "a.example", 1), Due(REQUESTS, "b.example", 2))
    clock.now = 20.0
    charge(ledger, Due(REQUESTS, "a.example", 1))
    excess = charge(ledger, Due(REQUESTS, "a.example", 1))
    assert excess is not None
    assert excess.reason() == (
        "the limit requests 2/min per host of rule api is reached: 2 of 2 requests for a.example;"
        " there is room again in 42 s"
    )
    assert excess.facts()["source"] == "p.yaml:8"
    clock.now += excess.wait + 0.001
    assert charge(ledger, Due(REQUESTS, "a.example", 1)) is None


def test_more_than_all_of_a_limit_never_has_room() -> None:
    excess = charge(Ledger(Clock()), Due(SENT, "", 101))
    assert excess is not None
    assert (excess.used, excess.wait) == (0, 0.0)
    assert excess.reason() == (
        "the limit sent 100B/min of rule api is reached: 0 of 100 bytes sent, and this is 101;"
        " there is never room for so much at once"
    )


def test_of_several_limits_the_one_to_wait_for_the_longest_is_told() -> None:
    ledger, day = Ledger(Clock()), replace(SENT, seconds=86400, written="100B/d")
    charge(ledger, Due(SENT, "", 90), Due(day, "", 90))
    excess = charge(ledger, Due(SENT, "", 20), Due(day, "", 20))
    assert excess is not None
    assert excess.limit is day


def test_a_limit_written_anew_goes_on_with_what_was_used() -> None:
    ledger = Ledger(Clock())
    charge(ledger, Due(SENT, "", 90))
    more = replace(SENT, amount=200, written="200B/min", source="p.yaml:70")
    assert ledger.left([Due(more, "", 1)]) == 110
    assert ledger.left([Due(replace(SENT, rule="other"), "", 1)]) == 100


def test_what_is_only_observed_is_counted_all_the_same() -> None:
    ledger = Ledger(Clock())
    excess = charge(ledger, Due(SENT, "", 150), anyway=True)
    assert excess is not None
    assert ledger.states([SENT]) == ((SENT, 0),)
    assert ledger.states([REQUESTS]) == ((REQUESTS, 2),)


def test_what_is_left_is_that_of_whom_the_least_is_left() -> None:
    ledger = Ledger(Clock())
    charge(ledger, Due(REQUESTS, "a.example", 2))
    charge(ledger, Due(REQUESTS, "b.example", 1))
    assert ledger.states([REQUESTS]) == ((REQUESTS, 0),)


def test_many_hosts_cost_bounded_memory_and_get_no_more_for_it() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    passed = [
        charge(ledger, Due(REQUESTS, f"{number}.example", 1)) is None
        for number in range(SUBJECTS + 100)
    ]
    assert sum(passed) == SUBJECTS + REQUESTS.amount, "those beyond share one count"
    (accounts,) = ledger._accounts.values()
    assert len(accounts._windows) == SUBJECTS + 1
    clock.now += 1000
    assert charge(ledger, Due(REQUESTS, "new.example", 1)) is None
    assert len(accounts._windows) == 1, "what counts no more makes room"


@given(st.data())
def test_nobody_gets_more_by_moving_between_the_shared_count_and_an_own_one(
    data: st.DataObject,
) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for number in range(SUBJECTS):
        charge(ledger, Due(REQUESTS, f"{number}.old", 1))
    passed: dict[str, list[float]] = {}
    steps: Sequence[tuple[float, str]] = data.draw(
        st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["x", "y", "z"])), max_size=40)
    )
    for pause, host in steps:
        clock.now += pause
        if charge(ledger, Due(REQUESTS, host, 1)) is None:
            passed.setdefault(host, []).append(clock.now)
    for times in passed.values():
        for end in times:
            assert sum(end - 60 < at <= end for at in times) <= REQUESTS.amount


def test_limits_that_are_no_longer_used_make_room_for_others() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for number in range(100):
        clock.now += 1000
        charge(ledger, Due(replace(SENT, rule=f"rule-{number}"), "", 1))
    assert len(ledger._accounts) == 1


def test_times_as_people_say_them() -> None:
    assert [span(each) for each in (0.2, 34, 119, 121, 7300)] == [
        "1 s", "34 s", "119 s", "3 min", "3 h",
    ]  # fmt: skip
