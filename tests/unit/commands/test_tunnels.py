"""Tunnel tools that only print, and those that open something."""

import pytest

from firewall.commands import inspect_argv


@pytest.mark.parametrize("line", ["frpc verify -c f", "gost --version", "sshuttle -h", "lt --help"])
def test_questions_are_honest(line: str) -> None:
    assert inspect_argv(line.split()) == ()


@pytest.mark.parametrize("line", ["frpc -c verify", "gost -L :1 --help", "ptunnel -p h"])
def test_all_else_is_a_tunnel(line: str) -> None:
    assert [each.kind for each in inspect_argv(line.split())] == ["tunnel"]
