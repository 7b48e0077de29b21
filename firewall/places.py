"""Where the firewall keeps its own files."""

import os
from pathlib import Path


def state_directory() -> Path:
    """The folder of logs and keys: $FIREWALL_STATE, else `firewall` where XDG puts state.

    XDG Base Directory Specification: $XDG_STATE_HOME, by default ~/.local/state; a relative path in
    it is invalid and ignored.
    """
    own = os.environ.get("FIREWALL_STATE")
    if own:
        return Path(own).absolute()
    shared = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".local/state") / "firewall"


def authority_directory() -> Path:
    """The folder of the firewall's keys: its certificate authority's, and that of its log."""
    return state_directory() / "authority"


def control_directory() -> Path:
    """The folder of the running firewalls' control sockets, without symbolic links."""
    return state_directory().resolve() / "run"


def approvals_directory() -> Path:
    """The folder of what waits for a person, without symbolic links."""
    return state_directory().resolve() / "approvals"
