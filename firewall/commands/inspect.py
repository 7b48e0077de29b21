"""Judge one program's arguments."""

import re
from collections.abc import Sequence
from functools import lru_cache

from firewall.commands.miners import inspect_miners
from firewall.commands.ssh import SshInvocation, parse_ssh
from firewall.commands.tunnels import inspect_tunnels
from firewall.requests import Finding

_SSH = {"ssh", "slogin", "autossh"}
SSH_CLIENTS = frozenset({"ssh", "dbclient", "klink", "lsh", "plink", "putty"})
_INTERPRETERS = ("python", "pypy")
_OPTIONS_OF_PYTHON = re.compile(r"-(?!-)[^cmWX]*(?:([cmWX])(.*))?\Z", re.DOTALL)
_RUNNERS = {"cprofile", "profile", "pdb", "trace", "coverage", "debugpy", "pyinstrument", "scalene"}
_KITTY = {"kitty", "kitten"}
_STARTS_SSH: dict[str, tuple[tuple[str, ...], ...]] = {
    "kitty": (("+kitten", "ssh"),),
    "kitten": (("ssh",),),
    "az": (("ssh", "vm"), ("ssh", "arc")),
    "gcloud": (("compute", "ssh"), ("compute", "tpus", "tpu-vm", "ssh")),
    "gh": (("codespace", "ssh"), ("cs", "ssh")),
    "vagrant": (("ssh",),),
}
"""Programs that hand options to ssh, by their own documentation: behind "--", but for kitty."""
_STARTS = re.compile(r"ExecStart(?:Pre|Post)?=[-@:+!]*([^\s\\][^\n\\]*)")


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
    """The program's name and arguments, looking through `python -m` and what starts ssh by name."""
    name = argv[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
    name = name.partition("@")[0] or name  # npx TOOL@VERSION
    if name.startswith(_INTERPRETERS):
        return _through(*_module(name, argv[1:]))
    for words in _STARTS_SSH.get(name, ()):
        if tuple(argv[1 : len(words) + 1]) == words:
            return "ssh", _after_dashes(argv[len(words) + 1 :], apart=name not in _KITTY)
    return name, argv[1:]


def _module(name: str, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """What `python -m` runs, python's own options before it passed over (`-I -X dev -mpip`)."""
    words = iter(enumerate(arguments, 1))
    for after, word in words:
        option = _OPTIONS_OF_PYTHON.match(word)
        if option is None:
            break
        if option[1] == "m":
            module, end = (option[2], after) if option[2] else ("".join(arguments[after:][:1]), -1)
            return module.lower(), arguments[after + 1 if end < 0 else end :]
        if option[1] == "c":
            break
        if option[1] and not option[2]:
            next(words, None)
    return name, arguments


def _through(module: str, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Modules that run another one: `-m cProfile -m pip install x`, `-m runpy pip install x`."""
    if module == "runpy" and arguments:
        return arguments[0].lower(), arguments[1:]
    if module in _RUNNERS and "-m" in arguments[:-1]:
        place = list(arguments).index("-m") + 1
        return _through(arguments[place].lower(), arguments[place + 1 :])
    return module, arguments


def _after_dashes(arguments: Sequence[str], *, apart: bool) -> Sequence[str]:
    """ssh's own words: those behind "--" and the host before it, or all of them unless `apart`."""
    if not apart:
        return arguments
    dashes = list(arguments).index("--") if "--" in arguments else len(arguments)
    host = next((each for each in arguments[:dashes] if not each.startswith("-")), "unnamed")
    return [*arguments[dashes + 1 :], host]


def _inspect_units(texts: Sequence[str]) -> list[Finding]:
    """A service that is written down to be started later (systemd.service(5), ExecStart=)."""
    lines = (each[1] for text in texts for each in _STARTS.finditer(text))
    return [finding for line in lines for finding in inspect_argv(line.split())]


def _inspect_ssh(argv: Sequence[str]) -> list[Finding]:
    """Both readings of -P count: it takes a value since OpenSSH 9.4 only."""
    readings = [parse_ssh(argv)]
    if any("P" in word for word in argv):
        readings.append(parse_ssh(argv, tags=False))
    return [finding for reading in readings for finding in _judge_ssh(reading)]


def _judge_ssh(ssh: SshInvocation) -> list[Finding]:
    if ssh.only_asks:
        return []
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
