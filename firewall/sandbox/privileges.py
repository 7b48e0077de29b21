"""Who the agent is, and everything it gives up before it runs."""

import os
import signal

from firewall.frozen import frozen
from firewall.sandbox import linux, seccomp

_NOROOT, _NO_FIXUP, _KEEP_CAPS_LOCKED, _NO_AMBIENT = 0b11, 0b11 << 2, 1 << 5, 0b11 << 6
_SECUREBITS = _NOROOT | _NO_FIXUP | _KEEP_CAPS_LOCKED | _NO_AMBIENT


@frozen
class Identity:
    """The user and group that the agent has inside and outside. `change`: become them first."""

    uid: int
    gid: int
    change: bool


def become(identity: Identity) -> None:
    """Become the user, keeping the capabilities in one's own user namespace."""
    if identity.change:
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)


def die_with_parent() -> None:
    """Be killed when the parent is; a change of user undoes this."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_from_debuggers() -> None:
    """Let no process of the sandbox read this one's memory, which is the firewall's."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)


def renounce(execute_from: tuple[str, ...] = ()) -> None:
    """Give up every capability for good, and whatever setuid programs or signals could lend.

    With `execute_from`, also what lies below none of these folders (Landlock). Raises OSError.
    """
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(_last_capability() + 1):
        linux.prctl(linux.PR_CAPBSET_DROP, capability)
    linux.prctl(linux.PR_SET_SECUREBITS, _SECUREBITS)
    linux.clear_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if linux.landlock_version() >= linux.LANDLOCK_WITH_SCOPES:
        linux.scope_signals()
    if execute_from:
        linux.execute_only_from(execute_from)
    linux.install_filter(seccomp.agent_filter())


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
        return int(file.read())


def default_signals(keep_ignored: bool) -> None:
    """Undo what Python set; `keep_ignored` leaves a hang-up ignored, as nohup(1) wants it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number != signal.SIGHUP or not keep_ignored:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
