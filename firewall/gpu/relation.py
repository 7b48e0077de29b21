"""What a process on a GPU has to do with who asked for something at that moment."""

from pathlib import Path
from typing import Literal, get_args

from firewall.actor import Actor, Process
from firewall.gpu.processes import container
from firewall.gpu.reading import STARTED_SLACK
from firewall.gpu.view import ProcessView

NAMESPACE = Path("/proc/self/ns/net")

type Relation = Literal[
    "same process", "ancestor", "descendant", "same sandbox", "same container", "none", "unknown"
]

OWN = frozenset(get_args(Relation.__value__)[:5])
"""Those that make the GPU's work the actor's own."""


def relation(found: ProcessView, actor: Actor) -> Relation:
    """The nearest relation; "unknown" where too little could be read to say that there is none."""
    if actor.process is not None and _is(found, actor.process):
        return "same process"
    if any(_is(found, each) for each in actor.ancestors):
        return "ancestor"
    if actor.process is not None and actor.process.pid in found.ancestors:
        return "descendant"
    if in_sandbox(found, actor):
        return "same sandbox"
    if found.container and found.container == _container(actor):
        return "same container"
    return "unknown" if None in (actor.namespace, found.namespace) else "none"


def in_sandbox(found: ProcessView, actor: Actor) -> bool:
    """Whether the actor is in a sandbox, and this process too.

    Who is served outside of one (`firewall serve`) shares this process's own network namespace,
    with all else that runs on the machine.
    """
    known = found.namespace is not None and found.namespace == actor.namespace
    return known and found.namespace != NAMESPACE.stat().st_ino


def _is(found: ProcessView, asked: Process) -> bool:
    """Whether it is that very process; a pid alone may belong to another by now."""
    if asked.pid != found.pid or found.started is None:
        return False
    return abs(asked.started - found.started) < STARTED_SLACK


def _container(actor: Actor) -> str | None:
    if actor.container is not None or actor.process is None:
        return actor.container
    place = container(actor.process.pid)
    return place.container if place else None
