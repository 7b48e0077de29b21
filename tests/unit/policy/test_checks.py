"""Which of two allows makes the other needless, and when that is not certain."""

from collections.abc import Callable

import pytest

from firewall.policy import Policy, PolicyError

WIDE = 'name: wide, allow: https, hosts: ["*.a.example", b.example]'


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (WIDE, "name: n, allow: https, hosts: [x.a.example]"),
        (WIDE, "name: n, allow: https, hosts: [b.example], methods: [GET]"),
        (WIDE, "name: n, allow: https, hosts: [b.example], requests: [{path: /a}]"),
        (WIDE, 'name: n, allow: https, hosts: ["*.x.a.example"], programs: [/usr/bin/git]'),
        (
            WIDE + ", methods: [GET, PUT]",
            "name: n, allow: https, hosts: [b.example], methods: [PUT]",
        ),
        (WIDE + ", ports: [443, 8443]", "name: n, allow: https, hosts: [b.example]"),
        (
            "name: w, allow: ssh, hosts: [b.example, c.example], shell: true",
            "name: n, allow: ssh, hosts: [b.example], shell: true",
        ),
    ],
)
def test_an_allow_that_changes_nothing_is_an_error(
    policy: Callable[[str], Policy], wide: str, narrow: str
) -> None:
    for rules in ((wide, narrow), (narrow, wide)):
        with pytest.raises(PolicyError, match=r"rule n changes nothing: w.* allows all of it"):
            policy(f"network: {{rules: [{{{rules[0]}}}, {{{rules[1]}}}]}}")


@pytest.mark.parametrize(
    ("wide", "other"),
    [
        (WIDE, "name: n, allow: https, hosts: [a.example], methods: [GET]"),
        (WIDE, "name: n, allow: http, hosts: [b.example], methods: [GET]"),
        (WIDE, "name: n, allow: https, hosts: [b.example], ports: [8443]"),
        (WIDE, "name: n, allow: https, hosts: [b.example], tls: passthrough"),
        (WIDE, "name: n, allow: https, hosts: [b.example], addresses: [10.0.0.1/32]"),
        (WIDE + ', programs: ["*/git"]', "name: n, allow: https, hosts: [b.example]"),
        (WIDE + ", methods: [GET]", "name: n, allow: https, hosts: [b.example], methods: [PUT]"),
        (
            WIDE + ", methods: [GET]",
            "name: n, allow: https, hosts: [b.example], requests: [{path: /a}]",
        ),
        (
            "name: w, allow: ssh, hosts: [b.example, c.example], shell: true",
            'name: n, allow: ssh, hosts: [b.example], commands: ["git-upload-pack *"]',
        ),
    ],
)
def test_an_allow_that_adds_something_is_none(
    policy: Callable[[str], Policy], wide: str, other: str
) -> None:
    assert policy(f"network: {{rules: [{{{wide}}}, {{{other}}}]}}").resolved.rules


def test_a_deny_may_speak_of_a_whole_top_level(policy: Callable[[str], Policy]) -> None:
    assert policy('network: {rules: [{name: no-com, deny: any, hosts: ["*.com"]}]}').resolved.rules


def test_a_top_level_of_ones_own_may_be_allowed(policy: Callable[[str], Policy]) -> None:
    rules = '[{name: ours, allow: https, hosts: ["*.internal"]}]'
    assert policy(f"network: {{rules: {rules}}}").resolved.rules
