"""Namespaces with no route out, in which an agent runs: see `Sandbox.launch`."""

from firewall.sandbox.actors import ActorFinder
from firewall.sandbox.authority import Authority
from firewall.sandbox.errors import SandboxError
from firewall.sandbox.execgate import ExecGate
from firewall.sandbox.freeze import Freezer
from firewall.sandbox.launch import Sandbox
from firewall.sandbox.spec import SandboxSpec
from firewall.sandbox.threads import Threads

__all__ = [
    "ActorFinder",
    "Authority",
    "ExecGate",
    "Freezer",
    "Sandbox",
    "SandboxError",
    "SandboxSpec",
    "Threads",
]
