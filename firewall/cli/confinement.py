"""What `firewall run` asks of a sandbox: whom the agent becomes, and what it may not touch."""

import os
import pwd
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firewall.cli.plan import Plan
from firewall.frozen import frozen
from firewall.policy import Policy
from firewall.policy.inject import AWS_VARIABLES
from firewall.policy.reloading import works_beside
from firewall.policy.ssh import Login
from firewall.protocols.needles import SHORTEST
from firewall.sandbox import SandboxError, SandboxSpec, mounts

_SYSTEM = (Path("/usr"), Path("/usr/local"))
"""Prefixes that belong to the whole machine, where an agent may be meant to install packages."""


def must_be_possible_here() -> None:
    """Say in plain words what would fail later on. Raises SandboxError."""
    if os.path.isdir(mounts.FILES):
        raise SandboxError(
            "this is the inside of a sandbox, which holds no second one; write the program without"
            " `firewall run`"
        )
    try:
        os.getcwd()
    except FileNotFoundError:
        raise SandboxError("the working directory was removed; change to another") from None


def specify(command: tuple[str, ...], policy: Policy, plan: Plan, user: str | None) -> SandboxSpec:
    identity = _user(user)
    files = {str(source) for source in policy.files}
    _must_be_files(policy)
    secrets = secrets_of(policy)
    return SandboxSpec(
        argv=command,
        directory=os.getcwd(),
        environment=_without(secrets.variables) | plan.vault.placeholders,
        user=identity,
        ca_pem=(plan.authority / "mitmproxy-ca-cert.pem").read_bytes(),
        ssh_ca=plan.ssh_ca,
        hide=(str(plan.authority.parent), str(plan.audit), *secrets.files),
        read_only=tuple(sorted(files | _folders(policy) | _code())),
        keep_root=identity is not None and identity[0] == 0,
        execute_from=policy.execute_from,
    )


@frozen
class Secrets:
    """What the firewall logs in with and the agent must not hold: files and variables."""

    files: tuple[str, ...]
    variables: frozenset[str]


def secrets_of(policy: Policy) -> Secrets:
    """The secrets that the rules name, and where a rule for SSH names none, ssh's usual keys."""
    held = [each.source.partition(":") for each in policy.secrets]
    files = {Path(place) for kind, _, place in held if kind == "file"}
    variables = {place for kind, _, place in held if kind == "env"}
    if any(each.variable in AWS_VARIABLES for each in policy.secrets):
        # A token of other keys than the placeholders would only make every request invalid.
        variables.add(AWS_VARIABLES[-1])
    for terms in (each.ssh for each in policy.resolved.rules if each.ssh is not None):
        login = terms.login
        if login == Login():
            files |= {each for each in _usual_keys() if each.suffix != ".pub"}
        certificate = login.certificate.authority if login.certificate else None
        kind, _, place = (login.password or "").partition(":")
        files |= {Path(each) for each in (login.key, certificate) if each}
        files |= {Path(place)} if kind == "file" else set()
        variables |= {place} if kind == "env" else set()
    found = {each.expanduser().absolute() for each in files}
    return Secrets(_hidden({each for each in found if each.exists()}), frozenset(variables))


def _hidden(files: set[Path]) -> tuple[str, ...]:
    """What hides secret files: their folders, where these hold nothing else.

    A file that another takes the place of loses its mask (mount_namespaces(7), "dentries"), as when
    a secret manager renames a new one over it. What links lead to is hidden as well.
    """
    files = files | {each.resolve() for each in files}
    names = {
        folder: {each.name for each in files if each.parent == folder}
        for folder in {each.parent for each in files}
    }
    own = {folder for folder, held in names.items() if _holds_only(folder, held)}
    return tuple(sorted(map(str, own | {each for each in files if each.parent not in own})))


def _holds_only(folder: Path, names: set[str]) -> bool:
    """Whether a folder holds these alone, but for what managers keep beside them (`..data`)."""
    lived_in = (Path.cwd(), Path(os.path.expanduser("~")))
    try:
        others = {each for each in os.listdir(folder) if each not in names and each[0] != "."}
    except PermissionError:
        return False
    return not others and not any(each.is_relative_to(folder) for each in lived_in)


def _usual_keys() -> Iterator[Path]:
    """The keys that ssh tries by itself (ssh_config(5), IdentityFile)."""
    return Path("~/.ssh").expanduser().glob("id_*")


def _without(variables: frozenset[str]) -> dict[str, str]:
    """The environment without these variables, nor any other in which their values stand."""
    values = [os.environ[each] for each in variables if len(os.environ.get(each, "")) >= SHORTEST]
    return {
        name: value
        for name, value in os.environ.items()
        if name not in variables and not any(each in value for each in values)
    }


def _code() -> set[str]:
    """The folders of what the firewall itself executes.

    Its processes run outside of the sandbox and start during a run, so whoever could change their
    code, or Python's own below a virtual environment, would be outside as well.
    """
    python = Path(sys.base_prefix)
    if python in _SYSTEM:
        python = Path(sysconfig.get_path("stdlib"))
    folders = [Path(__file__).parents[1], Path(sys.prefix), python]
    if site.ENABLE_USER_SITE:
        folders.append(Path(site.getusersitepackages()))
    return {str(each) for each in folders if each.is_dir()}


@contextmanager
def importing_only_our_code() -> Iterator[None]:
    """Let no module come from elsewhere, such as a folder of the agent's in PYTHONPATH."""
    trusted = (*_code(), *map(str, _SYSTEM))
    before = sys.path[:]
    sys.path[:] = [each for each in before if any(map(Path(each).is_relative_to, trusted))]
    try:
        yield
    finally:
        sys.path[:] = before


def _must_be_files(policy: Policy) -> None:
    """Refuse a link that the agent could turn to a policy of its own. Raises SandboxError."""
    for source in policy.files if works_beside(policy) else ():
        if source.is_symlink():
            raise SandboxError(
                f"{source} is a symbolic link in a folder where the agent works, which it could"
                f" turn elsewhere; name the file itself: {source.resolve()}"
            )


def _folders(policy: Policy) -> set[str]:
    return set() if works_beside(policy) else {str(each.parent) for each in policy.files}


def _user(name: str | None) -> tuple[int, int] | None:
    """Whom the agent becomes: as root whoever called sudo, or nobody, unless told otherwise."""
    if os.geteuid() != 0:
        if name is not None:
            raise ValueError("--user needs root; an ordinary user's agent runs as that user")
        return None
    if name is None and (sudo := os.environ.get("SUDO_UID")):
        return int(sudo), int(os.environ.get("SUDO_GID", sudo))
    try:
        entry = (
            pwd.getpwuid(int(name)) if name and name.isdecimal() else pwd.getpwnam(name or "nobody")
        )
    except KeyError:
        raise ValueError(f"--user {name}: there is no such user on this machine") from None
    return entry.pw_uid, entry.pw_gid
