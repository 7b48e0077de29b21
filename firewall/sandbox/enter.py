"""Work done inside the namespaces of others, from a process that stays where it is.

setns(2) moves one thread. One that has moved never comes back: it does its work and ends, so that
nothing of ours is ever left on the wrong side.
"""

import os
import threading
from collections.abc import Callable

from firewall.sandbox import linux


def in_network[Result](namespace: int, work: Callable[[], Result]) -> Result:
    """What `work` returns inside the network namespace of this descriptor. Raises what it raises.

    Needs CAP_SYS_ADMIN, as root of the machine has it.
    """
    return _aside(lambda: os.setns(namespace, os.CLONE_NEWNET), work)


def in_mounts[Result](namespace: int, work: Callable[[], Result]) -> Result:
    """What `work` returns where files are those of this mount namespace, `/` its root."""

    def enter() -> None:
        os.unshare(linux.CLONE_FS)  # Threads share their root until then, and may not move it.
        os.setns(namespace, os.CLONE_NEWNS)

    return _aside(enter, work)


def in_new_network[Result](work: Callable[[], Result]) -> Result:
    """What `work` returns inside a network namespace that is made for it."""
    return _aside(lambda: os.unshare(os.CLONE_NEWNET), work)


def _aside[Result](enter: Callable[[], None], work: Callable[[], Result]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter()
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="inside", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
