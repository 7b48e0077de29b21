"""Rules compared with each other: what that says is in test_checks; here, that it stays cheap."""

import time
from collections.abc import Callable

import pytest

from firewall.policy import Policy, PolicyError

RULES = 1_500


def _rules(extra: str = "") -> str:
    lines = [
        f"    - {{name: r{number}, allow: https, hosts: [h{number}.example.com], methods: [GET]}}"
        for number in range(RULES)
    ]
    return "\n".join(["network:", "  rules:", *lines, extra])


def test_thousands_of_rules_are_not_each_compared_with_each(
    policy: Callable[[str], Policy],
) -> None:
    began = time.process_time()
    assert len(policy(_rules()).resolved.rules) == RULES
    assert time.process_time() - began < 20, "a comparison of each with each takes minutes"


def test_one_among_thousands_that_changes_nothing_is_found(
    policy: Callable[[str], Policy],
) -> None:
    wide = '    - {name: w, allow: https, hosts: ["*.example.com"], methods: [GET]}'
    with pytest.raises(PolicyError, match=r"rule r0 changes nothing: w.* allows all of it"):
        policy(_rules(wide))
