"""Downloads and uploads of lftp and lwp-download."""

import shlex

import pytest

from firewall.commands.intents import facts_of


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    found = facts_of(shlex.split(line)).intents
    return [f"{each.name} {each.target} {each.detail}".strip() for each in found]


CASES = {
    "lwp-download https://h/x f": ["download https://h/x f"],
    "lwp-download https://h/x": ["download https://h/x x"],
    "lftp -c 'get https://h/x'": ["download https://h/x x"],
    "lftp -e 'get -o f x; bye' ftp.test": ["download x f"],
    "lftp -e 'put f; bye' ftp.test": ["upload ftp.test"],
    "lftp -c 'mirror -R d' ftp.test": ["upload ftp.test"],
    "lftp ftp.test": ["download ftp.test"],
    "wget -i https://h/list": ["download https://h/list"],
    "wget --input-file=urls -O f": ["download urls f"],
    "kubectl cp f ns/pod:/tmp/f": ["upload ns/pod:/tmp/f"],
    "kubectl cp -n ns pod:/tmp/f f": ["download pod:/tmp/f f"],
    "kubectl get pods": [],
}


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]


def test_what_lftp_sends_is_read() -> None:
    assert facts_of(["lftp", "-e", "put f; bye", "ftp.test"]).reads == ("f",)
