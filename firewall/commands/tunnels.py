"""Programs whose purpose is a tunnel, by name and subcommand."""

from collections.abc import Sequence
from itertools import pairwise

from firewall.requests import Finding

_ANY_USE: frozenset[str] = frozenset()

_TOOLS: dict[str, frozenset[str]] = {
    # from each tool's own documentation: the subcommands that open a tunnel
    "boringtun": _ANY_USE,
    "boringtun-cli": _ANY_USE,
    "bore": frozenset({"local", "server"}),
    "chisel": frozenset({"client", "server"}),
    "cloudflared": frozenset({"tunnel", "access"}),
    "code": frozenset({"tunnel"}),
    "devtunnel": frozenset({"host", "connect"}),
    "dns2tcpc": _ANY_USE,
    "dnscat": _ANY_USE,
    "dnscat2": _ANY_USE,
    "et": _ANY_USE,
    "frpc": _ANY_USE,
    "gost": _ANY_USE,
    "gs-netcat": _ANY_USE,
    "holesail": _ANY_USE,
    "icmptunnel": _ANY_USE,
    "inlets": frozenset({"client", "tcp", "http"}),
    "iodine": _ANY_USE,
    "ligolo": _ANY_USE,
    "ligolo-agent": _ANY_USE,
    "ligolo-ng": _ANY_USE,
    "localtunnel": _ANY_USE,
    "localxpose": frozenset({"tunnel"}),
    "loclx": frozenset({"tunnel"}),
    "lt": _ANY_USE,
    "ngrok": frozenset({"http", "tcp", "tls", "start", "tunnel", "service"}),
    "piko": frozenset({"agent", "forward", "server"}),
    "pktriot": frozenset({"http", "tcp", "start", "edit"}),
    "ptunnel": _ANY_USE,
    "ptunnel-ng": _ANY_USE,
    "rathole": _ANY_USE,
    "revsocks": _ANY_USE,
    "sish": _ANY_USE,
    "sshuttle": _ANY_USE,
    "tailscale": frozenset({"up", "serve", "funnel", "ssh", "nc"}),
    "tailscaled": _ANY_USE,
    "telebit": frozenset({"http", "tcp", "ssh", "enable"}),
    "tmate": _ANY_USE,
    "tunnelto": _ANY_USE,
    "untun": frozenset({"tunnel"}),
    "wstunnel": frozenset({"client"}),
    "zrok": frozenset({"share", "access"}),
}

_VERBS: dict[str, tuple[tuple[str, ...], ...]] = {
    # programs for much else: the words, in front, of what forwards a port
    "aws": (("ssm", "start-session"),),
    "az": (("network", "bastion", "tunnel"),),
    "fly": (("proxy",),),
    "flyctl": (("proxy",),),
    "gcloud": (("compute", "start-iap-tunnel"),),
    "gh": (("codespace", "ports", "forward"), ("cs", "ports", "forward")),
    "heroku": (("ps:forward",),),
    "kubectl": (("port-forward",), ("proxy",)),
    "oc": (("port-forward",), ("proxy",)),
    "tsh": (("proxy",),),
}

_ONLY_ASKS = {"-h", "--help", "-V", "--version"}
"""Alone on a command line these tools print something, and open nothing."""

_SSH_LIKE = {"dbclient", "klink", "lsh", "plink", "putty"}
"""Clients with ssh's options for forwarding: dropbear cli-runopts.c, PuTTY cmdline.c, lsh.c. So
has `cf ssh` (cloudfoundry/cli command/v7/ssh_command.go)."""

_FORWARDS = {"L": "local forwarding", "D": "dynamic forwarding", "B": "a forwarded connection"}


def is_tunnel_tool(program: str) -> bool:
    """Whether a program of this name is there for tunnels, by any of its subcommands."""
    return program in _TOOLS


def inspect_tunnels(program: str, arguments: Sequence[str]) -> list[Finding]:
    """What a tunnel tool is told to do. `program` is its name without path."""
    if program in _SSH_LIKE or (program == "cf" and "ssh" in arguments[:1]):
        return _inspect_ssh_like(program, arguments)
    if program not in _TOOLS:
        return _inspect_verbs(program, arguments)
    subcommands = _TOOLS[program]
    if not subcommands and _only_asks(program, arguments):
        return []
    place = next((i for i, word in enumerate(arguments, 1) if word in subcommands), None)
    if subcommands and place is None:
        return []
    if program == "chisel":
        return [_inspect_chisel(arguments)]
    named = f"{program} {arguments[place - 1]}" if place else program
    return [Finding("tunnel", program, f"tunnel tool {named}", f"argument {place or 0}")]


def _inspect_verbs(program: str, arguments: Sequence[str]) -> list[Finding]:
    """The verbs stand in front but for options, some of which take a word (`-n NAME`)."""
    if not {"-h", "--help", "help"}.isdisjoint(arguments):
        return []
    for verbs in _VERBS.get(program, ()):
        place = next((i for i, word in enumerate(arguments) if word == verbs[0]), None)
        if place is None or tuple(arguments[place : place + len(verbs)]) != verbs:
            continue
        if all(
            word[:1] == "-" or before[:1] == "-"
            for before, word in pairwise(("", *arguments[:place]))
        ):
            named = " ".join((program, *verbs))
            return [Finding("tunnel", program, f"tunnel tool {named}", f"argument {place + 1}")]
    return []


def _only_asks(program: str, arguments: Sequence[str]) -> bool:
    """`gost --help`, and `frpc verify -c FILE`."""
    if program == "frpc" and list(arguments[:1]) == ["verify"]:
        return True
    return len(arguments) == 1 and arguments[0] in _ONLY_ASKS


def _inspect_chisel(arguments: Sequence[str]) -> Finding:
    """A remote that starts with R: listens on the far side (chisel README)."""
    for place, word in enumerate(arguments, 1):
        if word.startswith("R:"):
            return Finding("tunnel", "chisel", f"chisel reverse tunnel {word}", f"argument {place}")
    return Finding("tunnel", "chisel", "tunnel tool chisel", "argument 0")


def _inspect_ssh_like(program: str, arguments: Sequence[str]) -> list[Finding]:
    findings = []
    for place, word in enumerate(arguments, 1):
        option, where = word[1:2] if word.startswith("-") else "", f"argument {place}"
        if len(word) > 2 and not word[2].isdigit():
            continue
        if option == "R":
            evidence = f"{program} -R opens a port on the far side"
            findings.append(Finding("ssh-reverse-forwarding", program, evidence, where))
        elif option in _FORWARDS:
            evidence = f"{program} -{option} asks for {_FORWARDS[option]}"
            findings.append(Finding("tunnel", program, evidence, where))
    return findings
