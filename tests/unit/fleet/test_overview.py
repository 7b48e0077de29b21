"""What of a fleet is told to be wrong, and what is left alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from firewall.fleet.bundlefile import fingerprint
from firewall.fleet.overview import Asked, Node, Offer, Told, node, offer
from firewall.fleet.report import Held, InForce, Refusal, Report, write
from firewall.fleet.wire import Stored
from tests.unit.fleet.conftest import KEY, OTHER, TRUST, Bundled

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HASH, OLD = "a" * 64, "b" * 64
OFFER = Offer("training", "coding", 7, HASH, NOW - timedelta(hours=2))
REPORT = Report(
    source="gpu-17",
    group="training",
    time=NOW - timedelta(seconds=10),
    firewall="1.0",
    bundle=Held(name="coding", version=7, sha256=HASH),
    refused=None,
    gates=[InForce(version=7, digest=HASH, count=1)],
    heads={"gate-0": 100, "gate-1": 50},
)
ALL = {"gate-0": 100, "gate-1": 60}
ARRIVED, ASKED = Told(ALL), Asked(NOW)
LATE = ["version 7 is offered since 2026-11-26 10:00:00 UTC"]


def seen(
    report: Report = REPORT,
    *,
    offered: Offer = OFFER,
    told: Told = ARRIVED,
    asked: Asked = ASKED,
    age: float = 10,
) -> Node:
    stored = Stored(write(report, KEY), 1, NOW - timedelta(seconds=age))
    return node("training", "gpu-17", stored, offered, told, asked)


def but(**changes: object) -> Report:
    return REPORT.model_copy(update=changes)


def test_all_is_well() -> None:
    found = seen()
    assert (found.troubles, found.missing, found.late_since) == ([], 0, None)
    assert seen(but(gates=[])).troubles == [], "a machine on which nothing runs"
    assert seen(told=Told(None)).missing is None, "no log of the fleet is received"


BEHIND = Held(name="coding", version=6, sha256=OLD)


@pytest.mark.parametrize(
    ("found", "troubles"),
    [
        (seen(but(bundle=BEHIND, gates=[])), LATE),
        (seen(but(bundle=None, gates=[])), LATE),
        (
            seen(but(gates=[InForce(version=6, digest=OLD, count=2), *REPORT.gates])),
            ["2 of 3 gates judge by another version than 7"],
        ),
        (
            seen(but(refused=Refusal(sha256=OLD, why="a fork", since=NOW))),
            ["it refuses what is offered: a fork"],
        ),
        (seen(but(time=NOW - timedelta(seconds=61)), age=61), ["it has said nothing for 61 s"]),
        (seen(but(time=NOW + timedelta(hours=1))), ["its clock is 3610 s ahead"]),
        (
            seen(but(time=NOW - timedelta(hours=1))),
            ["its clock is 3590 s behind, or its report is an old one"],
        ),
        (seen(but(group="lab")), ["what stands in its place is a report of gpu-17 of lab"]),
        (seen(told=Told({"gate-0": 90})), ["60 of its records have not arrived"]),
        (seen(told=Told(ALL, {"gap": 2, "fork": 1})), ["its log has: 1 fork, 2 gap"]),
        (
            seen(asked=Asked(NOW, pinned={})),
            ["no key is pinned for it, so anybody may have reported"],
        ),
        (
            seen(asked=Asked(NOW, pinned={"gpu-17": OTHER.public})),
            ["its pinned key has not signed its report"],
        ),
    ],
)
def test_what_is_wrong(found: Node, troubles: list[str]) -> None:
    assert found.troubles == troubles


def test_what_takes_its_time_is_not_told_yet() -> None:
    fresh = replace(OFFER, since=NOW - timedelta(seconds=20))
    late = seen(but(bundle=BEHIND), offered=fresh)
    assert (late.troubles, late.late_since) == ([], fresh.since)
    under_way = seen(but(time=NOW - timedelta(seconds=1)), told=Told({}), age=1)
    assert (under_way.troubles, under_way.missing) == ([], 150)


def test_no_report() -> None:
    stored = Stored(b"\xffnonsense", 1, NOW)
    found = node("training", "gpu-17", stored, OFFER, Told(), Asked(NOW))
    (why,) = found.troubles
    assert why.startswith("its report cannot be read: ")


def test_what_is_offered(bundled: Bundled) -> None:
    asked = Asked(NOW, TRUST)
    stored = Stored(bundled(7), 1, NOW)
    known = Offer("training", "coding", 7, fingerprint(stored.data), NOW, verified=True)
    assert offer("training", stored, asked) == known
    assert offer("training", stored, ASKED) == replace(known, verified=False)
    assert "no bundle that its nodes take" in offer("lab", stored, asked).trouble
    for data in (b"nonsense", bundled(7, key=OTHER), bundled(7, audience=())):
        found = offer("training", Stored(data, 1, NOW), asked)
        assert (found.version, "no bundle that its nodes take" in found.trouble) == (0, True)
    ended = bundled(7, expires=NOW)
    assert offer("training", Stored(ended, 1, NOW), asked).trouble == (
        "it expired on 2026-11-26: publish a newer one"
    )
