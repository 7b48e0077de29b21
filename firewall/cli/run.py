"""`firewall run`: an agent in a sandbox whose only way out is the gate."""

import os
import pwd
import signal
import sys
import time
from pathlib import Path

from firewall.audit import AuditError
from firewall.cli import signals
from firewall.cli.assembly import House, Plan, open_house
from firewall.cli.places import state_directory
from firewall.policy import Policy, PolicyError, load_policy
from firewall.proxy.loop import READ
from firewall.sandbox import ActorFinder, Authority, Sandbox, SandboxError, SandboxSpec
from firewall.sandbox.trust import bundles_found

FAILED = 125
"""The exit status when the firewall itself fails, as container runtimes have it."""
UNREACHABLE = (126, 127)
"""The exit statuses of a program that cannot be run or is not found (POSIX, 2.8.2)."""
REFRESH_SECONDS = 1.0


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
    try:
        policy = load_policy(policy_path)
        plan = make_plan(policy_path, policy, log, metrics, upstream_ca=upstream_ca)
        sandbox = Sandbox.launch(_spec(command, policy, plan, user))
    except (PolicyError, SandboxError, OSError, ValueError) as error:
        return _fail(error)
    try:
        return _serve(plan, sandbox, user, live=live)
    except AuditError as error:
        return _fail(error)
    finally:
        sandbox.close()
        signals.unblock()


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
    state = state_directory()
    authority = Authority.ensure(state / "authority")
    audit = (log or state / "audit").absolute()
    audit.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    code = {str(Path(__file__).parents[1]), sys.prefix}
    files = {str(source) for source in policy.sources}
    return SandboxSpec(
        argv=command,
        directory=os.getcwd(),
        environment=dict(os.environ),
        name=plan.name,
        user=identity,
        ca_pem=(plan.authority / "mitmproxy-ca-cert.pem").read_bytes(),
        hide=(str(state_directory()), str(plan.audit)),
        read_only=tuple(sorted(files | _folders(policy) | code)),
        keep_root=identity is not None and identity[0] == 0,
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
        _keep_masked(house, sandbox)
        sandbox.start()
        house.loop.run()
        house.metrics.sandbox(-1)
        status = sandbox.poll()
    house.teller.summarise(str(plan.audit))
    if status in UNREACHABLE and user is None and os.geteuid() == 0:
        _warn("root's agent runs as nobody, who may not reach every program; see --user")
    return FAILED if status is None else status


def _keep_masked(house: House, sandbox: Sandbox) -> None:
    """Hide the host's sockets that come to be while the agent runs."""
    sandbox.refresh()
    house.loop.after(REFRESH_SECONDS, lambda: _keep_masked(house, sandbox))


def _news(house: House, sandbox: Sandbox) -> None:
    if sandbox.poll() is not None:
        house.loop.forget(sandbox.fileno())
        house.gate.wind_down(house.loop.stop)


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
