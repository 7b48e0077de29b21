"""Miners under other names, and words about mining."""

import pytest

from firewall.commands import inspect_argv


@pytest.mark.parametrize(
    "line",
    [
        "./kworker -o p.test:3333 -u w --donate-level 1",
        "./kworker --url=p.test:3333 --user=w --rig-id=r",
        "./echo -o stratum+tcp://p.test:3333 -u w",
        "/tmp/grep --url stratum+ssl://p.test:443 --user w",
    ],
)
def test_a_renamed_miner_is_one(line: str) -> None:
    assert [each.kind for each in inspect_argv(line.split())] == ["mining"]


@pytest.mark.parametrize(
    "line",
    [
        "echo stratum+tcp://p.test:3333",
        "rg stratum+tcp://p.test:3333 .",
        "git grep stratum+tcp://p.test:3333",
        "nslookup stratum+tcp://p.test:3333",
        "./server --nicehash -u me",
        "curl -o out.txt -u user https://a.test:8443/",
    ],
)
def test_words_about_mining_are_honest(line: str) -> None:
    assert inspect_argv(line.split()) == ()
