"""Where the firewall keeps its files, by the environment."""

from pathlib import Path

import pytest

from firewall.places import state_directory


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("/var/lib/fw", "/x", "/var/lib/fw"),
        (None, "/x", "/x/firewall"),
        (None, None, "/home/me/.local/state/firewall"),
        ("", "", "/home/me/.local/state/firewall"),
        (None, "relative", "/home/me/.local/state/firewall"),
    ],
)
def test_state_directory(
    monkeypatch: pytest.MonkeyPatch, own: str | None, xdg: str | None, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in (("FIREWALL_STATE", own), ("XDG_STATE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert state_directory() == Path(expected)


def test_a_relative_place_of_our_own_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIREWALL_STATE", "state")
    assert state_directory() == tmp_path / "state"
