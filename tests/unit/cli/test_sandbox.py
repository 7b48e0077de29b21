"""What `firewall sandbox list` shows of a firewall with workers."""

import pytest

from firewall.cli.sandbox import _row

STATUS = {"name": "run-1", "pid": 7, "policy": "strict", "started": "now", "state": "running"}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({}, "strict"),
        ({"workers": 2, "workers_current": 2}, "strict"),
        ({"workers": 2, "workers_current": 1}, "strict (1 of 2 workers)"),
    ],
)
def test_a_policy_that_not_all_workers_have_yet_says_so(
    told: dict[str, object], shown: str
) -> None:
    assert _row({**STATUS, "why": "", **told})[2] == shown
