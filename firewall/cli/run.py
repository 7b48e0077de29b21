"""`firewall run`: an agent in a sandbox whose only way out is the gate."""

import os
import signal
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from firewall.audit import AuditError
from firewall.cli import signals, terminal
from firewall.cli.confinement import importing_only_our_code, must_be_possible_here, specify
from firewall.cli.plan import Options, Plan, make_plan
from firewall.gpu.view import ProcessView
from firewall.policy import PolicyError, load_policy, sources
from firewall.policy.holding import parse_labels
from firewall.policy.loading import find
from firewall.proxy.loop import READ
from firewall.sandbox import ActorFinder, ExecGate, Freezer, Sandbox, SandboxError, Threads

if TYPE_CHECKING:
    from firewall.cli.assembly import House

FAILED = 125
"""The exit status when the firewall itself fails, as container runtimes have it."""
UNREACHABLE = (126, 127)
"""The exit statuses of a program that cannot be run or is not found (POSIX, 2.8.2)."""
REFRESH_SECONDS = 1.0
STOPPED_SECONDS = 0.1


def run_agent(
    command: tuple[str, ...],
    options: Options,
    user: str | None,
    upstream_ca: str | None = None,
) -> int:
    """Run the command and return its exit status as a shell would.

    As root, as `user` or who may be (confinement.py); `upstream_ca` is the bundle trusted towards
    servers instead of the machine's own.
    """
    signals.block()
    # An agent that made itself the terminal's foreground could otherwise have the firewall stopped
    # for writing to it (termios(3), TOSTOP).
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        must_be_possible_here()
        path = str(find(options.policy).absolute())
        policy = load_policy(path, parse_labels(options.labels))
        plan = make_plan(replace(options, policy=path), policy, upstream_ca=upstream_ca)
        sandbox = Sandbox.launch(specify(command, policy, plan, user), _load_gate)
    except (PolicyError, SandboxError, OSError, ValueError) as error:
        return _fail(error)
    try:
        with importing_only_our_code():
            return _serve(plan, sandbox, user, live=options.live)
    except (AuditError, PolicyError, OSError) as error:
        return _fail(error)
    finally:
        sandbox.close()
        signals.unblock()


def _load_gate() -> None:
    """What `_serve` needs and the sandbox does not, loaded while another process makes that."""
    import firewall.cli.assembly  # noqa: F401


def _serve(plan: Plan, sandbox: Sandbox, user: str | None, *, live: bool) -> int:
    from firewall.cli.assembly import Place, open_house

    threads = Threads()
    finder = ActorFinder(plan.name, sandbox.pid, sandbox.namespace, sandbox.diag, threads)
    freezer = Freezer(sandbox.pid)

    def mine(process: ProcessView) -> bool:
        return process.namespace == sandbox.namespace or sandbox.pid in process.ancestors

    with open_house(
        plan,
        finder,
        _warn,
        live=live,
        freezer=freezer,
        threads=threads,
        namespace=sandbox.namespace,
        mine=mine,
        place=Place(pid=sandbox.pid, open_diag=sandbox.open_diag),
    ) as house:
        house.gate.serve_transparent(sandbox.tcp, sandbox.udp, sandbox.open_udp)
        house.loop.watch(sandbox.fileno(), READ, lambda _: _news(house, sandbox))
        signals.listen(lambda number, typed: _signalled(house, sandbox, number, typed))
        house.metrics.sandbox(1)
        sources.seal()
        _keep_masked(house, sandbox)
        if (listener := sandbox.start()) is not None:
            with (
                closing(_exec_gate(house, sandbox, plan.name, listener, threads)) as gate,
                ExitStack() as asked,
            ):
                answer = partial(_answer_about_tools, house, sandbox, gate, asked)
                house.loop.watch(sandbox.tools.fileno(), READ, lambda _: answer())
                house.loop.run()
        house.metrics.sandbox(-1)
        status = sandbox.poll()
    house.teller.summarise(str(plan.audit))
    if status in UNREACHABLE and user is None and os.geteuid() == 0:
        _warn("root's agent runs as another user, who may not reach every program; see --user")
    return FAILED if status is None else status


def _exec_gate(
    house: "House", sandbox: Sandbox, name: str, listener: int, threads: Threads
) -> ExecGate:
    place = (name, sandbox.pid, sandbox.namespace)
    return ExecGate(listener, house.gate.judge, *place, threads)


def _answer_about_tools(house: "House", sandbox: Sandbox, gate: ExecGate, asked: ExitStack) -> None:
    """Answer about tool calls from the first question on: most agents ask none, and need not wait
    until HTTP is loaded."""
    from firewall.toolcalls.server import Server, by_credentials
    from firewall.toolcalls.service import Service

    house.loop.forget(sandbox.tools.fileno())
    service = Service(house.gate.judge, house.loop.post)
    server = Server(sandbox.tools, service, by_credentials(gate.actor, None))
    asked.enter_context(closing(server))


def _keep_masked(house: "House", sandbox: Sandbox) -> None:
    """Hide the host's sockets that come to be while the agent runs."""
    sandbox.refresh()
    house.loop.after(REFRESH_SECONDS, lambda: _keep_masked(house, sandbox))


def _news(house: "House", sandbox: Sandbox) -> None:
    if sandbox.poll() is not None:
        house.loop.forget(sandbox.fileno())
        house.gate.wind_down(house.loop.stop)
    elif sandbox.stopped:
        house.loop.after(STOPPED_SECONDS, lambda: _stop_too(house, sandbox))


def _stop_too(house: "House", sandbox: Sandbox) -> None:
    """A stopped agent hands the terminal to whoever started the firewall, until it is continued.

    Where the terminal's key stopped both, the agent is continued already when this is reached,
    whether or not the news of it are.
    """
    if house.quarantine.freezing:
        return
    if sandbox.poll() is None and sandbox.stands_still() and os.isatty(0):
        terminal.stop()
        sandbox.signal(signal.SIGCONT)


def _signalled(house: "House", sandbox: Sandbox, number: signal.Signals, typed: bool) -> None:
    if number == signal.SIGHUP and not typed:
        house.loop.post(house.reload.now)
    elif not typed:
        house.loop.post(lambda: sandbox.signal(number))


def _warn(message: str) -> None:
    print(f"firewall: {message}", file=sys.stderr)


def _fail(error: Exception) -> int:
    print(f"firewall: {error}", file=sys.stderr)
    return FAILED
