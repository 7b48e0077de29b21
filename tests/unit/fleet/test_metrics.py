"""What a node's agent tells Prometheus."""

import time
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from firewall.fleet.follower import State
from firewall.fleet.metrics import FleetMetrics
from firewall.fleet.report import Held, InForce, Refusal

HASH = "a" * 64


def value(state: State, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(FleetMetrics("training", lambda: state))
    return registry.get_sample_value(f"firewall_fleet_{name}", {"group": "training", **labels})


def test_a_node_that_never_reported() -> None:
    state = State()
    assert value(state, "contact_seconds") == float("inf")
    assert [value(state, name) for name in ("bundle_version", "gates_behind", "refusing")] == [
        0
    ] * 3


def test_a_node_that_refuses() -> None:
    state = State(
        bundle=Held(name="coding", version=7, sha256=HASH),
        refused=Refusal(sha256=HASH, why="older", since=datetime.now(UTC)),
        gates=(InForce(version=6, digest=HASH, count=2), InForce(version=7, digest=HASH, count=1)),
        contact=time.time() - 60,
        taken=3,
        refusals=1,
    )
    assert value(state, "gates", version="6", digest=HASH) == 2
    assert value(state, "gates_behind") == 2
    assert value(state, "bundle_version") == 7
    assert (value(state, "taken_total"), value(state, "refused_total")) == (3, 1)
    assert value(state, "refusing") == 1
    contact = value(state, "contact_seconds")
    assert contact is not None
    assert 60 <= contact < 120
