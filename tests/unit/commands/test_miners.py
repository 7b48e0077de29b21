"""Miners under other names, and words about mining."""

import pytest

from firewall.commands import inspect_argv, read_argv


@pytest.mark.parametrize(
    "line",
    [
        "./kworker -o p.test:3333 -u w --donate-level 1",
        "./kworker --url=p.test:3333 --user=w --rig-id=r",
        "./echo -o stratum+tcp://p.test:3333 -u w",
        "/tmp/grep --url stratum+ssl://p.test:443 --user w",
        f"./sshd --url=p.test:4444 --user=4{'A' * 94}",
        "./a --algo=rx/0 --url=p.test:80 --nicehash",
        "./node --start-mining w --mining-threads 2",
        "python3 PC_Miner.py",
        "bash setup_moneroocean_miner.sh w",
        "./alephium-cuda-miner -a 192.0.2.1",
    ],
)
def test_a_renamed_miner_is_one(line: str) -> None:
    found = [each.kind for each in read_argv(line.split()).findings]
    assert found[:1] == ["mining"]


@pytest.mark.parametrize(
    "line",
    [
        "echo stratum+tcp://p.test:3333",
        "rg stratum+tcp://p.test:3333 .",
        "git grep stratum+tcp://p.test:3333",
        "nslookup stratum+tcp://p.test:3333",
        "./server --nicehash -u me",
        "curl --url a.test:8443 --user me:secret",
        "wallet-cli --server a.test:443 --address 0x0123456789012345678901234567890123456789",
        "curl -o out.txt -u user https://a.test:8443/",
    ],
)
def test_words_about_mining_are_honest(line: str) -> None:
    assert inspect_argv(line.split()) == ()
