"""`firewall serve`: an explicit proxy with the same judge, for agents without a sandbox."""

import signal
import socket
import sys

from firewall.audit import AuditError
from firewall.cli import signals
from firewall.cli.assembly import House, open_house
from firewall.cli.listening import host_and_port, listener
from firewall.cli.plan import Options, Plan, make_plan
from firewall.cli.run import FAILED
from firewall.policy import PolicyError, load_policy, sources
from firewall.policy.holding import parse_labels
from firewall.sandbox import ActorFinder, SandboxError


def serve_proxy(options: Options, listen: str) -> int:
    """Serve until SIGINT or SIGTERM; SIGHUP loads the policy again."""
    signals.block()
    try:
        policy = load_policy(options.policy, parse_labels(options.labels))
        plan = make_plan(options, policy, kind="serve")
        with listener(*host_and_port(listen)) as listening:
            return _serve(plan, listening, live=options.live)
    except (PolicyError, AuditError, SandboxError, OSError, ValueError) as error:
        print(f"firewall: {error}", file=sys.stderr)
        return FAILED
    finally:
        signals.unblock()


def _serve(plan: Plan, listening: socket.socket, *, live: bool) -> int:
    finder = ActorFinder.of_host(plan.name)
    sources.seal()
    with open_house(plan, finder, say, live=live) as house:
        house.gate.serve_explicit(listening)
        signals.listen(lambda number, _: signalled(house, number))
        host, port = listening.getsockname()[:2]
        say(f"policy {plan.policy.name} in force; HTTP and SOCKS5 proxy on {host}:{port}")
        house.loop.run()
    house.teller.summarise(str(plan.audit))
    return 0


def signalled(house: House, number: signal.Signals) -> None:
    """SIGHUP loads the policy again, any other ends the gate."""
    if number == signal.SIGHUP:
        house.loop.post(house.reload.now)
    elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        house.loop.stop()


def say(message: str) -> None:
    """Tell whoever started the gate."""
    print(f"firewall: {message}", file=sys.stderr, flush=True)
