"""`firewall run`: an agent in a sandbox whose only way out is the gate."""

import os
import pwd
import signal
import site
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firewall.audit import AuditError
from firewall.cli import signals, terminal
from firewall.cli.assembly import House, Plan, open_house
from firewall.cli.places import state_directory
from firewall.policy import Policy, PolicyError, load_policy, sources
from firewall.policy.loading import find
from firewall.proxy.loop import READ
from firewall.sandbox import ActorFinder, Authority, Sandbox, SandboxError, SandboxSpec, mounts
from firewall.sandbox.trust import bundles_found

FAILED = 125
"""The exit status when the firewall itself fails, as container runtimes have it."""
UNREACHABLE = (126, 127)
"""The exit statuses of a program that cannot be run or is not found (POSIX, 2.8.2)."""
REFRESH_SECONDS = 1.0
STOPPED_SECONDS = 0.1
_SYSTEM = (Path("/usr"), Path("/usr/local"))
"""Prefixes that belong to the whole machine, where an agent may be meant to install packages."""


def run_agent(
    command: tuple[str, ...],
    policy_path: str,
    log: Path | None,
    metrics: str | None,
    user: str | None,
    *,
    live: bool,
    upstream_ca: str | None = None,
) -> int:
    """Run the command and return its exit status as a shell would.

    `upstream_ca` is the bundle trusted towards servers instead of the machine's own.
    """
    signals.block()
    # An agent that made itself the terminal's foreground could otherwise have the firewall stopped
    # for writing to it (termios(3), TOSTOP).
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        _must_be_possible_here()
        path = str(find(policy_path).absolute())
        policy = load_policy(path)
        plan = make_plan(path, policy, log, metrics, upstream_ca=upstream_ca)
        sandbox = Sandbox.launch(_spec(command, policy, plan, user))
    except (PolicyError, SandboxError, OSError, ValueError) as error:
        return _fail(error)
    try:
        with _importing_only_from(_code()):
            return _serve(plan, sandbox, user, live=live)
    except (AuditError, OSError) as error:
        return _fail(error)
    finally:
        sandbox.close()
        signals.unblock()


def _must_be_possible_here() -> None:
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


def make_plan(
    policy_path: str,
    policy: Policy,
    log: Path | None,
    metrics: str | None,
    *,
    name: str = "",
    upstream_ca: str | None = None,
) -> Plan:
    """What the gate is made from, with the usual places where nothing else is asked for."""
    # Without symbolic links, which an agent could turn elsewhere while it runs.
    state = state_directory().resolve()
    audit = (log or state / "audit").resolve()
    try:
        authority = Authority.ensure(state / "authority")
        audit.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{error.filename} cannot be made: {error.strerror}; name another folder for the"
            " firewall's state in FIREWALL_STATE, or one for its log with --log"
        ) from error
    return Plan(
        name=name or f"run-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}",
        policy_path=policy_path,
        policy=policy,
        audit=audit,
        authority=authority.directory,
        upstream_ca=upstream_ca or upstream_bundle(),
        metrics=None if metrics is None else host_and_port(metrics),
        watched=not _works_beside(policy),
    )


def host_and_port(text: str, host: str = "127.0.0.1") -> tuple[str, int]:
    """HOST:PORT, [V6]:PORT or PORT. Raises ValueError that says so."""
    name, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no HOST:PORT; write for example 127.0.0.1:9090")
    return name.strip("[]") or host, int(port)


def upstream_bundle() -> str:
    """The authorities trusted towards servers: the user's own choice, or the system's."""
    if named := os.environ.get("SSL_CERT_FILE"):
        return str(Path(named).absolute())
    found = bundles_found()
    if not found:
        raise ValueError(
            "no bundle of certificate authorities was found; install ca-certificates, or name one "
            "in SSL_CERT_FILE"
        )
    return found[0]


def _spec(command: tuple[str, ...], policy: Policy, plan: Plan, user: str | None) -> SandboxSpec:
    identity = _user(user)
    files = {str(source) for source in policy.sources}
    _must_be_files(policy)
    return SandboxSpec(
        argv=command,
        directory=os.getcwd(),
        environment=dict(os.environ),
        user=identity,
        ca_pem=(plan.authority / "mitmproxy-ca-cert.pem").read_bytes(),
        hide=(str(plan.authority.parent), str(plan.audit)),
        read_only=tuple(sorted(files | _folders(policy) | _code())),
        keep_root=identity is not None and identity[0] == 0,
    )


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
def _importing_only_from(code: set[str]) -> Iterator[None]:
    """Let no module come from elsewhere, such as a folder of the agent's in PYTHONPATH."""
    trusted = (*code, *map(str, _SYSTEM))
    before = sys.path[:]
    sys.path[:] = [each for each in before if any(map(Path(each).is_relative_to, trusted))]
    try:
        yield
    finally:
        sys.path[:] = before


def _must_be_files(policy: Policy) -> None:
    """Refuse a link that the agent could turn to a policy of its own. Raises SandboxError."""
    for source in policy.sources if _works_beside(policy) else ():
        if source.is_symlink():
            raise SandboxError(
                f"{source} is a symbolic link in a folder where the agent works, which it could"
                f" turn elsewhere; name the file itself: {source.resolve()}"
            )


def _folders(policy: Policy) -> set[str]:
    return set() if _works_beside(policy) else {str(each.parent) for each in policy.sources}


def _works_beside(policy: Policy) -> bool:
    """Whether a policy's folder holds the agent's own work and so cannot be read-only to it.

    The agent could then put other files there, so such a policy is reloaded only when asked to.
    """
    here = Path.cwd()
    return any(here.is_relative_to(source.parent) for source in policy.sources)


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


def _serve(plan: Plan, sandbox: Sandbox, user: str | None, *, live: bool) -> int:
    finder = ActorFinder(plan.name, sandbox.pid, sandbox.namespace, sandbox.diag)
    with open_house(plan, finder, _warn, live=live) as house:
        house.gate.serve_transparent(sandbox.tcp, sandbox.udp, sandbox.open_udp)
        house.loop.watch(sandbox.fileno(), READ, lambda _: _news(house, sandbox))
        signals.listen(lambda number, typed: _signalled(house, sandbox, number, typed))
        house.metrics.sandbox(1)
        sources.seal()
        _keep_masked(house, sandbox)
        sandbox.start()
        house.loop.run()
        house.metrics.sandbox(-1)
        status = sandbox.poll()
    house.teller.summarise(str(plan.audit))
    if status in UNREACHABLE and user is None and os.geteuid() == 0:
        _warn("root's agent runs as another user, who may not reach every program; see --user")
    return FAILED if status is None else status


def _keep_masked(house: House, sandbox: Sandbox) -> None:
    """Hide the host's sockets that come to be while the agent runs."""
    sandbox.refresh()
    house.loop.after(REFRESH_SECONDS, lambda: _keep_masked(house, sandbox))


def _news(house: House, sandbox: Sandbox) -> None:
    if sandbox.poll() is not None:
        house.loop.forget(sandbox.fileno())
        house.gate.wind_down(house.loop.stop)
    elif sandbox.stopped:
        house.loop.after(STOPPED_SECONDS, lambda: _stop_too(sandbox))


def _stop_too(sandbox: Sandbox) -> None:
    """A stopped agent hands the terminal to whoever started the firewall, until it is continued.

    Where the terminal's key stopped both, the agent is continued already when this is reached.
    """
    if sandbox.poll() is None and sandbox.stopped and os.isatty(0):
        terminal.stop()
        sandbox.signal(signal.SIGCONT)


def _signalled(house: House, sandbox: Sandbox, number: signal.Signals, typed: bool) -> None:
    if number == signal.SIGHUP and not typed:
        house.loop.post(house.reload.now)
    elif not typed:
        house.loop.post(lambda: sandbox.signal(number))


def _warn(message: str) -> None:
    print(f"firewall: {message}", file=sys.stderr)


def _fail(error: Exception) -> int:
    print(f"firewall: {error}", file=sys.stderr)
    return FAILED
