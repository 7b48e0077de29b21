"""What workers count adds up, and is told once."""

import json

from firewall.metrics import Metrics
from firewall.metrics.changes import Changes
from firewall.requests import Connect
from firewall.verdict import Action, Verdict
from tests.unit.metrics.events import event

ALLOWED = event(Connect("a.test", 443, protocol="tls"), Verdict(Action.ALLOW, "web", "it may"))


def test_the_sum_of_all_changes_is_what_was_counted() -> None:
    worker, total = Metrics(), Metrics()
    changes = Changes(worker)
    for flows in (2, 3):
        worker.verdict(ALLOWED, 2e-5)
        worker.flow("relaying", flows)
        worker.bytes("sent", 10)
        worker.append(0.5)
        total.merge(json.loads(json.dumps(changes.take())))
    assert changes.take() == {}
    ours, theirs = total.snapshot(), worker.snapshot()
    for name in ("verdicts", "flows", "bytes"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("decisions", "appends"):
        assert vars(getattr(ours, name)) == vars(getattr(theirs, name))


def test_the_flows_of_a_worker_that_has_ended_are_over() -> None:
    total = Metrics()
    total.flow("relaying", 3)
    total.ended({"relaying": 2})
    assert total.snapshot().flows == {"relaying": 1}
