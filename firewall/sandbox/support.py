"""Why a machine refuses to make a sandbox, and what its owner can do about it."""

import errno
import os

_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
_MAXIMUM = "/proc/sys/user/max_user_namespaces"

_CONTAINER = (
    "in a container, its seccomp profile or masked /proc forbids this; start it with"
    " --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
)


def setting(path: str) -> str | None:
    """What a file of /proc/sys says, or None where there is no such setting."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def refusals() -> list[str]:
    """The settings of this machine that keep this user from making a sandbox, with the remedy."""
    found = []
    if setting(_MAXIMUM) == "0":
        found.append(
            "user namespaces are switched off (user.max_user_namespaces is 0);"
            " as root write: sysctl -w user.max_user_namespaces=15000"
        )
    if os.geteuid() != 0 and setting(_CLONE) == "0":
        found.append(
            "only root may make user namespaces here (kernel.unprivileged_userns_clone is 0);"
            " as root write: sysctl -w kernel.unprivileged_userns_clone=1"
        )
    if os.geteuid() != 0 and setting(_APPARMOR) == "1":
        found.append(
            "AppArmor keeps ordinary programs from using user namespaces (Ubuntu 23.10 and later:"
            " kernel.apparmor_restrict_unprivileged_userns is 1); give the firewall's Python an"
            " AppArmor profile with `userns,`, run the firewall as root, or as root write:"
            " sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return found


def explain(step: str, code: int | None, text: str) -> str:
    """One sentence for a failed launch: what the sandbox could not do, and what to change."""
    if step.startswith("start in"):
        return f"the agent's user could not {step}: {text}; choose another directory or user"
    reasons = refusals()
    if not reasons and code in (errno.EPERM, errno.EACCES):
        reasons = [_CONTAINER]
    if not reasons and code == errno.ENOSYS:
        reasons = ["the kernel is too old: Linux 5.12 or later is needed"]
    if not reasons and code in (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
        reasons = ["see `firewall doctor` for what this kernel lacks"]
    return "; ".join([f"the sandbox could not {step}: {text}", *reasons])
