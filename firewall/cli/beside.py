"""`firewall sidecar serve`: the gate in the network namespace of its agent."""

import os
import re
from contextlib import ExitStack
from pathlib import Path

from firewall.audit import AuditError
from firewall.cli import signals
from firewall.cli.assembly import Place, open_house
from firewall.cli.plan import Options, Plan, make_plan
from firewall.cli.run import FAILED
from firewall.cli.serve import say, signalled
from firewall.frozen import frozen
from firewall.node.trust import Trusted
from firewall.places import authority_directory
from firewall.policy import PolicyError, load_policy, sources
from firewall.policy.holding import parse_labels
from firewall.sandbox import Authority, SandboxError
from firewall.sidecar.sockets import Finder, must_be_guarded, opened, proxies

_PLACE = Place("firewall.sidecar.sockets:Finder")
_RESOLV = Path("/etc/resolv.conf")


@frozen
class Beside:
    """What a gate beside its agent is told: its user, the proxy's port, the folder where the agent
    finds what to trust, and that of the authority to use; its own where none is named."""

    uid: int
    port: int
    trust: Path | None
    authority: Path | None


def serve_beside(options: Options, told: Beside) -> int:
    """Serve until SIGINT or SIGTERM; SIGHUP loads the policy again."""
    signals.block()
    try:
        _must_be(told.uid)
        if told.authority is not None:
            Authority.adopt(authority_directory(), told.authority)
        policy = load_policy(options.policy, parse_labels(options.labels))
        plan = make_plan(options, policy, kind="sidecar")
        _serve(plan, told, live=options.live)
    except (PolicyError, AuditError, SandboxError, OSError, ValueError) as error:
        say(str(error))
        return FAILED
    finally:
        signals.unblock()
    return 0


def _must_be(uid: int) -> None:
    """The rules know the gate by its user: any other would be led back to itself."""
    if os.geteuid() != uid:
        raise ValueError(
            f"this runs as user {os.geteuid()}, but the rules let out user {uid}; run it as that"
            " user, or name this one with --uid, here and for `firewall sidecar init`"
        )


def _serve(plan: Plan, told: Beside, *, live: bool) -> None:
    sources.seal()
    if told.trust is not None:
        Trusted(Authority.ensure(plan.authority).pem, told.trust).prepare()
    with ExitStack() as stack:
        redirected = stack.enter_context(opened())
        must_be_guarded()
        listeners = proxies(stack, told.port)
        finder = Finder.of_host(plan.name)
        house = stack.enter_context(open_house(plan, finder, say, live=live, place=_PLACE))
        house.gate.serve_redirected(redirected)
        for each in listeners:
            house.gate.serve_explicit(each)
        signals.listen(lambda number, _: signalled(house, number))
        _warn_of_suffixes(_RESOLV.read_text(errors="replace") if _RESOLV.exists() else "")
        say(f"policy {plan.policy.name} in force; HTTP and SOCKS5 proxy on port {told.port}")
        house.loop.run()
    house.teller.summarise(str(plan.audit))


def _warn_of_suffixes(resolv: str) -> None:
    """Every name has an address here, also the first that a resolver makes of another (ndots in
    resolv.conf(5)), and so the one that was meant would never be asked for."""
    found = re.search(r"^options\b.*\bndots:(\d+)", resolv, re.MULTILINE)
    if found and int(found[1]) > 1:
        say(
            f"resolv.conf has ndots:{found[1]}: example.com is asked for with a suffix first, and"
            " is found there; in Kubernetes write into the pod's spec:"
            ' dnsConfig: {options: [{name: ndots, value: "1"}]}'
        )
