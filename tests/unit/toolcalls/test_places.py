"""Where the service is found."""

import os

import pytest

from firewall.toolcalls.places import VARIABLE, socket_path


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/me")
    monkeypatch.setenv(VARIABLE, "/x/tools.sock")
    assert socket_path() == "/x/tools.sock"
    monkeypatch.delenv(VARIABLE)
    assert socket_path() == "/run/me/agent-firewall/tools.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert socket_path() == f"/run/user/{os.getuid()}/agent-firewall/tools.sock"
