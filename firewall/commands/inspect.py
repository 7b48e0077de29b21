"""Judge one program's arguments."""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath

from firewall.commands.miners import inspect_miners
from firewall.commands.ssh import SshInvocation, parse_ssh
from firewall.commands.tunnels import inspect_tunnels
from firewall.requests import Finding

_SSH = {"ssh", "slogin", "autossh"}
SSH_CLIENTS = frozenset({"ssh", "dbclient", "klink", "lsh", "plink", "putty"})
_STARTS = re.compile(r"ExecStart(?:Pre|Post)?=[-@:+!]*([^\s\\][^\n\\]*)")
_INTERPRETERS = re.compile(r"(?:python|pypy)[0-9.]*")


def inspect_argv(argv: Sequence[str]) -> tuple[Finding, ...]:
    """What a program is about to do, from its arguments. `argv[0]` may be any path."""
    return _inspect(tuple(argv)) if argv else ()


@lru_cache(maxsize=1024)
def _inspect(argv: tuple[str, ...]) -> tuple[Finding, ...]:
    """Remembered, because a program opens many flows and a command line may be very long."""
    program, arguments = program_of(argv)
    findings = [*inspect_tunnels(program, arguments), *inspect_miners(program, arguments)]
    if program in ("echo", "printf"):
        findings += _inspect_units(arguments)
    if program in _SSH:
        findings += _inspect_ssh([program, *arguments])
    return tuple(dict.fromkeys(findings))


def program_of(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The program's name and arguments, looking through `python -m` and kitty's ssh kitten."""
    name = PurePath(argv[0].replace("\\", "/")).name.lower().removesuffix(".exe")
    match list(argv[1:4]):
        case ["-m", module, *_] if _INTERPRETERS.fullmatch(name):
            return module.lower(), argv[3:]
        case ["+kitten", "ssh", *_] if name == "kitty":
            return "ssh", argv[3:]
        case ["ssh", *_] if name == "kitten":
            return "ssh", argv[2:]
    return name, argv[1:]


def _inspect_units(texts: Sequence[str]) -> list[Finding]:
    """A service that is written down to be started later (systemd.service(5), ExecStart=)."""
    lines = (each[1] for text in texts for each in _STARTS.finditer(text))
    return [finding for line in lines for finding in inspect_argv(line.split())]


def _inspect_ssh(argv: Sequence[str]) -> list[Finding]:
    """Both readings of -P count: it takes a value since OpenSSH 9.4 only."""
    readings = (parse_ssh(argv), parse_ssh(argv, tags=False))
    return [finding for reading in readings for finding in _judge_ssh(reading)]


def _judge_ssh(ssh: SshInvocation) -> list[Finding]:
    host = ssh.host or "(no host)"
    findings = [
        Finding("ssh-reverse-forwarding", "ssh", f"remote forwarding {forward} at {host}", "-R")
        for forward in ssh.remote_forwards
    ]
    tunnels = [("-L", "local forwarding", forward) for forward in ssh.local_forwards]
    tunnels += [("-D", "dynamic forwarding", forward) for forward in ssh.dynamic_forwards]
    if ssh.stdio_forward is not None:
        tunnels.append(("-W", "stdio forwarding to", ssh.stdio_forward))
    if ssh.tunnel is not None:
        tunnels.append(("-w", "tunnel devices", ssh.tunnel))
    return findings + [
        Finding("tunnel", "ssh", f"{what} {value} through {host}", where)
        for where, what, value in tunnels
    ]


def left_to_the_network(finding: Finding) -> bool:
    """Whether it is a forward of an SSH client, which the gateway judges channel by channel.

    A rule of the network may allow it; the arguments alone do not tell.
    """
    return finding.name in SSH_CLIENTS and finding.kind in ("tunnel", "ssh-reverse-forwarding")
