"""What `firewall sandbox list` shows of a firewall with workers."""

import pytest

from firewall.cli.sandbox import _COLUMNS, _row

STATUS = {"name": "run-1", "pid": 7, "policy": "strict", "started": "now", "state": "running"}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({}, "strict"),
        ({"workers_current": 2}, "strict"),
        ({"workers_current": 1}, "strict (1 of 2 workers)"),
    ],
)
def test_a_policy_that_not_all_workers_have_yet_says_so(
    told: dict[str, object], shown: str
) -> None:
    workers = {"workers": 2, "worker_flows": [], "worker_restarts": 0} if told else {}
    assert _row({**STATUS, "why": "", **workers, **told}, _COLUMNS)[2] == shown


@pytest.mark.parametrize(
    ("flows", "restarts", "shown"),
    [([3, 4], 0, "2 of 2 serve, 3+4 flows"), ([4], 3, "1 of 2 serve, 4 flows, 3 restarts")],
)
def test_it_tells_who_serves(flows: list[int], restarts: int, shown: str) -> None:
    workers = {"workers": 2, "workers_current": 2, "worker_flows": flows}
    status = {**STATUS, "why": "", **workers, "worker_restarts": restarts}
    assert shown in _row(status, _COLUMNS)
