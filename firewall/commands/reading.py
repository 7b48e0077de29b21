"""What a shell text or a command line was read to run."""

from firewall.frozen import frozen
from firewall.requests import Command, Finding, Opaque


@frozen
class Reading:
    """Every simple command that can be run, and what could not be read.

    A text is fully understood only where `opaque` is empty: what is opaque may run anything.
    `findings` are those of all its commands.
    """

    commands: tuple[Command, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    findings: tuple[Finding, ...] = ()
