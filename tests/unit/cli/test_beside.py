"""What a gate beside its agent warns of; what it does, tests/e2e try."""

import pytest

from firewall.cli import beside


@pytest.mark.parametrize(
    ("resolv", "warned"),
    [
        ("search a.test\noptions ndots:5 timeout:1\n", True),
        ("options timeout:1 ndots:1\n", False),
        ("nameserver 192.0.2.53\n", False),
    ],
)
def test_suffixes_that_come_first_are_warned_of(
    resolv: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    beside._warn_of_suffixes(resolv)
    assert ("dnsConfig" in capsys.readouterr().err) is warned
