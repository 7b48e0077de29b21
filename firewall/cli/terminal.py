"""The terminal that the firewall shares with the agent."""

import os
import signal
from contextlib import suppress


def stop() -> None:
    """Stop this process's whole group as the terminal's key would; returns once it is continued.

    An agent with a foreground group of its own has it again afterwards. Nothing happens where
    nobody could continue the group (an orphaned one, setpgid(2)).
    """
    foreground = _foreground()
    _make_foreground(os.getpgrp())
    os.kill(0, signal.SIGTSTP)
    if foreground is not None:
        _make_foreground(foreground)


def _foreground() -> int | None:
    with suppress(OSError):
        return os.tcgetpgrp(0)
    return None


def _make_foreground(group: int) -> None:
    """Allowed from the background as well, since run ignores SIGTTOU."""
    with suppress(OSError):
        os.tcsetpgrp(0, group)
