"""Lines of ssh_config(5), with what `ssh -G` made of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.commands.ssh_settings import split_setting

CASES = {
    "RemoteForward 80 a:80": ["80", "a:80"],
    "remoteforward=80 a:80": ["80", "a:80"],
    " = RemoteForward = 80 a:80 # a comment": ["80", "a:80"],
    '"RemoteForward" 80 a:80': ["80", "a:80"],
    'Remote"Forward" 80 a:80': ["80", "a:80"],
    '"RemoteForward"=80 a:80': ["=80", "a:80"],
    "RemoteForward == 80 a:80": ["=", "80", "a:80"],
    "RemoteForward\t80\ta:80": ["80", "a:80"],
    "RemoteForward\r\n80 a:80": ["80", "a:80"],
    "RemoteForward 8'0' \"a:80\"": ["80", "a:80"],
    "RemoteForward 80\\ a:80": ["80 a:80"],
    "RemoteForward 8\\0 a:80": ["8\\0", "a:80"],
    "RemoteForward '#80' \\\"a": ["#80", '"a'],
    "RemoteForward": [],
    "RemoteForward #": [],
}


@pytest.mark.parametrize("line", CASES)
def test_splits_as_ssh_does(line: str) -> None:
    assert split_setting(line) == ("remoteforward", CASES[line])


@given(st.text(alphabet="aR =\"'\\#\t\n\0é", max_size=20))
def test_raises_on_nothing(line: str) -> None:
    keyword, words = split_setting(line)
    assert keyword == keyword.lower()
    assert not any(word is None for word in words)
