"""Raw connections, shells that are given to whoever is at the other end, and scanners."""

import re
from collections.abc import Sequence
from itertools import pairwise

from firewall.commands.programs.options import take
from firewall.commands.programs.told import NOTHING, Told
from firewall.requests import Finding, Intent

_NC_SHORT = "cegGiIkmMopPqQsTVwWxXy"
_NCAT_LONG = frozenset({
    "--exec", "--sh-exec", "--lua-exec", "--proxy", "--proxy-type", "--proxy-auth", "--source",
    "--source-port", "--idle-timeout", "--wait", "--output", "--max-conns", "--allow", "--deny",
})  # fmt: skip
_RUNS = ("-e", "-c", "--exec", "--sh-exec", "--lua-exec")
_RANGE = re.compile(r"[0-9]+-[0-9]+")
_SHELL = re.compile(
    r"(?:^|[\s/'\":,=])(?:ba|z|da|k|c|tc|fi|a)?sh(?:$|[\s'\":,;-])|cmd\.exe|powershell"
)
_NETWORKS = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9*-]+(?:/[0-9]{1,2})?")
_LOOPBACK = ("localhost", "127.", "[::1]", "::1")
_SOCAT_OPENS = ("tcp", "ssl", "openssl", "udp", "socks", "proxy", "vsock", "sctp")


def nc(arguments: Sequence[str]) -> Told:
    """nc(1) of OpenBSD and the traditional one, ncat(1): -e and -c run a program for the peer."""
    # OpenBSD's -c is TLS and takes no value; then what follows is a host, and no program's name.
    options = take(arguments, _NC_SHORT, _NCAT_LONG)
    place = ":".join(options.rest[:2])
    runs = [each for each in options.values(*_RUNS) if _SHELL.search(each) or "/" in each]
    if runs:
        return _reverse(place or "whoever connects", runs[0])
    if options.has("-z") and any(_RANGE.fullmatch(each) for each in options.rest):
        return Told((Intent("scan", place),))
    if options.has("-l", "--listen", "-L"):
        return Told((Intent("tunnel", "listens", place),))
    return Told((Intent("tunnel", place, "a raw connection"),)) if options.rest else NOTHING


def socat(arguments: Sequence[str]) -> Told:
    """socat(1): two addresses, of which EXEC: and SYSTEM: run a program."""
    addresses = [each for each in arguments if not each.startswith("-")]
    kinds = [each.partition(":")[0].lower() for each in addresses]
    far = [at for at, kind in enumerate(kinds) if kind.startswith(_SOCAT_OPENS)]
    runs = [at for at, kind in enumerate(kinds) if kind in ("exec", "system", "shell")]
    if far and runs:
        return _reverse(addresses[far[0]], addresses[runs[0]])
    if len(far) > 1 and not all(map(_is_near, addresses)):
        detail = " ".join(addresses)
        found = Finding("tunnel", "socat", f"relays {detail}", "arguments", "likely")
        return Told((Intent("tunnel", addresses[far[-1]], detail),), findings=(found,))
    return Told((Intent("tunnel", addresses[far[0]]),)) if far else NOTHING


def _is_near(address: str) -> bool:
    """Whether it listens, or leads to this machine itself."""
    kind, _, rest = address.partition(":")
    return "listen" in kind.lower() or rest.lower().startswith(_LOOPBACK)


def openssl(arguments: Sequence[str]) -> Told:
    """openssl s_client(1), and the files of all its other commands."""
    words = list(arguments)
    if words[:1] != ["s_client"]:
        files = [(a, b) for a, b in pairwise(words) if a in ("-in", "-inkey", "-out")]
        reads = tuple(b for a, b in files if a != "-out")
        return Told((), reads, tuple(b for a, b in files if a == "-out"))
    named = ("-connect", "-host")
    found = [b for a, b in pairwise(words) if a in named]
    return Told((Intent("tunnel", found[0] if found else words[-1], "a raw TLS connection"),))


_OPENS_TUNNEL: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("brook", "clash", "expose", "hysteria", "mihomo", "nebula", "openconnect", "pagekite",
         "proxychains", "proxychains4", "redsocks", "sing-box", "ss-local", "sslocal", "torify",
         "torsocks", "trojan", "trojan-go", "tun2socks", "udp2raw", "v2ray", "vpnc", "websocat",
         "xray"),
        frozenset[str](),
    ),
    "netbird": frozenset({"up"}),
    "warp-cli": frozenset({"connect"}),
    "openvpn": frozenset(),
    "stunnel": frozenset(),
    "stunnel4": frozenset(),
    "tor": frozenset(),
    "wg-quick": frozenset({"up"}),
    "zerotier-one": frozenset(),
    "zerotier-cli": frozenset({"join"}),
}  # fmt: skip
"""Tunnels that much honest work goes through: rules may name them, guards do not."""
VPNS = frozenset(_OPENS_TUNNEL)


def vpn(name: str, arguments: Sequence[str]) -> Told:
    """A program of VPNS, where it does more than print. `name` is a key of it."""
    verbs = _OPENS_TUNNEL[name]
    asks = len(arguments) == 1 and arguments[0] in ("-h", "--help", "--version", "-version")
    if asks or (verbs and not verbs & set(arguments[:1])):
        return NOTHING
    return Told((Intent("tunnel", name, " ".join(arguments)[:200]),))


def telnet(arguments: Sequence[str]) -> Told:
    rest = take(arguments, "abelnSXkx").rest
    return Told((Intent("tunnel", ":".join(rest[:2]), "a raw connection"),)) if rest else NOTHING


def scanner(arguments: Sequence[str]) -> Told:
    """nmap, masscan, zmap, rustscan, arp-scan: every use."""
    words = [each for each in arguments if not each.startswith("-")]
    targets = [each for each in words if "." in each or ":" in each or _NETWORKS.fullmatch(each)]
    if any(each in ("-h", "--help", "--version", "-V") for each in arguments):
        return NOTHING
    return Told((Intent("scan", " ".join(targets) or " ".join(words)),))


def xterm(arguments: Sequence[str]) -> Told:
    """xterm(1) on another machine's display: whoever sits there has a shell here."""
    displays = [b for a, b in pairwise(arguments) if a in ("-display", "-d")]
    far = [each for each in displays if each[:1] not in (":", "") and "unix" not in each]
    return Told(tuple(Intent("reverse-shell", each, "xterm") for each in far))


def fping(arguments: Sequence[str]) -> Told:
    """fping(8) of a whole network (-g)."""
    if not any(each.startswith("-") and "g" in each for each in arguments):
        return NOTHING
    return scanner(arguments)


def _reverse(place: str, runs: str) -> Told:
    if not _SHELL.search(runs):
        return Told((Intent("tunnel", place, f"runs {runs}"),))
    evidence = f"{runs} is given to {place}"
    found = Finding("tunnel", "reverse-shell", evidence, "arguments")
    return Told((Intent("reverse-shell", place, runs),), findings=(found,))
