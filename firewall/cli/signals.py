"""Signals of `firewall run` and `firewall serve`, taken on a thread that can see who sent them.

The terminal sends its signals to the agent too, since the agent stays in the firewall's process
group; only what a process sent to the firewall alone is passed on.
"""

import signal
import threading
from collections.abc import Callable

HANDLED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
SI_KERNEL = 0x80
"""siginfo's si_code of a signal that a terminal's key sent (sigaction(2))."""


def block() -> None:
    """Keep the signals waiting. Call before the first thread starts, which inherits the mask."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def listen(received: Callable[[signal.Signals, bool], None]) -> None:
    """Call `received(signal, from the terminal)` on a daemon thread, for as long as it lives."""

    def work() -> None:
        while True:
            information = signal.sigwaitinfo(HANDLED)
            number = signal.Signals(information.si_signo)
            received(number, information.si_code == SI_KERNEL)

    threading.Thread(target=work, name="signals", daemon=True).start()
