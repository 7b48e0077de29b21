"""What `firewall run` does when its agent stops."""

from types import SimpleNamespace
from typing import Any

import pytest

from firewall.cli import run, terminal


@pytest.mark.parametrize("freezing", [True, False])
def test_an_agent_that_was_frozen_does_not_stop_the_firewall(
    monkeypatch: pytest.MonkeyPatch, freezing: bool
) -> None:
    stops: list[Any] = []
    monkeypatch.setattr(terminal, "stop", lambda: stops.append("the firewall"))
    monkeypatch.setattr("os.isatty", lambda descriptor: True)
    sandbox: Any = SimpleNamespace(
        poll=lambda: None, stands_still=lambda: True, signal=stops.append
    )
    house: Any = SimpleNamespace(quarantine=SimpleNamespace(freezing=freezing))
    run._stop_too(house, sandbox)
    assert (stops == []) == freezing
