"""ssh and what goes through it: logins, forwards, copies."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from firewall.commands.programs.options import Options, take
from firewall.commands.programs.told import NOTHING, Told, is_remote
from firewall.commands.ssh import SshInvocation, parse_ssh
from firewall.requests import Intent, IntentName

_SCP_SHORT = "cDFiJloPSX"
_SFTP_SHORT = "BbcDFiJloPRSsX"
_RSYNC_SHORT = "efMTB"
_RSYNC_LONG = frozenset({
    "--rsh", "--filter", "--exclude", "--include", "--exclude-from", "--include-from",
    "--files-from", "--temp-dir", "--compare-dest", "--copy-dest", "--link-dest", "--port",
    "--password-file", "--bwlimit", "--timeout", "--rsync-path", "--log-file", "--chown",
})  # fmt: skip


def ssh(program: str, arguments: Sequence[str]) -> Told:
    """ssh(1), autossh(1): where it logs in, what it runs there, and every forward.

    Aliases and settings of a configuration file are not known from the command line; of one that
    is named (-F, Include) that much is told. What ssh only prints (-G, -Q, -V) leads nowhere.
    """
    found = parse_ssh([program, *arguments])
    return Told((*_logins(found), *_forwards(found)), found.configuration)


def _place(found: SshInvocation) -> str:
    host = found.hostname or found.host or ""
    who = f"{found.user}@{host}" if found.user else host
    return f"{who}:{found.port}" if found.port else who


def _logins(found: SshInvocation) -> Iterator[Intent]:
    if found.only_asks or found.control == "forward":
        return
    yield from _jumps(found)
    if not found.host:
        return
    if found.command:
        yield Intent("ssh.exec", _place(found), " ".join(found.command))
    else:
        unread = " and ".join(found.configuration)
        yield Intent("ssh.login", _place(found), f"{unread} is not read" if unread else "")


def _jumps(found: SshInvocation) -> Iterator[Intent]:
    """The hosts on the way, which are logged in to; what starts ssh (rsync -e) adds where to."""
    for jump in (found.jumps or "none").split(","):
        if jump.strip().lower() != "none":
            yield Intent("ssh.login", jump, f"on the way to {_place(found) or 'another'}")


def _on_the_way(options: Options) -> Told:
    """The same for what hands -J and -o to ssh: scp(1), sftp(1), ssh-copy-id(1)."""
    words = (word for name, value in options.given if name in _TO_SSH for word in (name, value))
    return Told(tuple(_jumps(parse_ssh(["ssh", *words]))))


_TO_SSH = ("-J", "-o")


def _forwards(found: SshInvocation) -> Iterator[Intent]:
    """What ssh would open. -W clears forwards unless told not to (ssh.c)."""
    place = _place(found)
    stdio = found.stdio_forward is not None
    cleared = stdio if found.cleared is None else found.cleared
    if found.only_asks:
        return
    if not cleared:
        yield from _listed("ssh.forward-remote", place, found.remote_forwards)
        yield from _listed("ssh.forward-local", place, found.local_forwards)
        yield from _listed("ssh.forward-dynamic", place, found.dynamic_forwards)
    if found.stdio_forward is not None:
        yield Intent("ssh.forward-stdio", place, found.stdio_forward)
    if found.tunnel is not None:
        yield Intent("ssh.tunnel-device", place, found.tunnel)
    if found.agent_forwarding:
        yield Intent("ssh.forward-agent", place)
    if found.x11_forwarding:
        yield Intent("ssh.forward-x11", place)


def _listed(name: IntentName, place: str, details: Iterable[str]) -> Iterator[Intent]:
    return (Intent(name, place, each) for each in details)


_ALIKE = {"-R": "ssh.forward-remote", "-L": "ssh.forward-local", "-D": "ssh.forward-dynamic",
          "-B": "ssh.forward-stdio", "-nc": "ssh.forward-stdio"}  # fmt: skip
_DROPBEAR = "pilLRBWKIJbcmoM"
_PUTTY = frozenset({
    "-P", "-l", "-L", "-R", "-D", "-i", "-m", "-nc", "-pw", "-pwfile", "-load", "-hostkey",
    "-proxycmd", "-sshlog", "-sshrawlog", "-logappend", "-sercfg", "-cert", "-loghost",
})  # fmt: skip


def dropbear(arguments: Sequence[str]) -> Told:
    """dbclient(1): hosts joined by commas are passed through one after the other."""
    return _alike(take(arguments, _DROPBEAR, stop=True))


def putty(arguments: Sequence[str]) -> Told:
    """plink(1) and putty(1), whose options do not cluster."""
    return _alike(take(arguments, "", _PUTTY))


def _alike(options: Options) -> Told:
    """Clients with ssh's letters for forwards."""
    users = [each for each in options.values("-l") if each]
    ports = [each for each in options.values("-p", "-P") if each]
    hosts = options.rest[0].split(",") if options.rest else []
    places = [_named(each, users, ports) for each in hosts]
    place, command = places[-1] if places else "", " ".join(options.rest[1:])
    told = [Intent("ssh.login", each, f"on the way to {place}") for each in places[:-1]]
    if place:
        told.append(Intent("ssh.exec" if command else "ssh.login", place, command))
    for name, value in options.given:
        if name in _ALIKE and value:
            told.append(Intent(cast("IntentName", _ALIKE[name]), place, value))
    if options.has("-A"):
        told.append(Intent("ssh.forward-agent", place))
    return Told(tuple(told))


def _named(host: str, users: Sequence[str], ports: Sequence[str]) -> str:
    who = f"{users[0]}@{host}" if users and "@" not in host else host
    return f"{who}:{ports[0]}" if ports else who


def teleport(arguments: Sequence[str]) -> Told:
    """tsh(1) of Teleport: `tsh ssh` and `tsh scp`."""
    match take(arguments, "", _TSH, stop=True).rest:
        case ("ssh", *rest):
            return ssh("ssh", [each for each in rest if not each.startswith("--")])
        case ("scp", *rest):
            return scp(rest)
    return NOTHING


_TSH = frozenset({"--proxy", "--user", "--cluster", "--login", "--ttl", "-l", "-i"})


def scp(arguments: Sequence[str]) -> Told:
    """scp(1): the last word is where to."""
    options = take(arguments, _SCP_SHORT)
    return _on_the_way(options) + _copy(options.rest)


def rsync(arguments: Sequence[str]) -> Told:
    """rsync(1); host::module and rsync:// go to a daemon."""
    return _copy(take(arguments, _RSYNC_SHORT, _RSYNC_LONG).rest)


def _copy(words: Sequence[str]) -> Told:
    if not words:
        return NOTHING
    *sources, target = words if len(words) > 1 else (*words, "")
    reads = tuple(each for each in sources if not _is_far(each))
    if _is_far(target):
        return Told((Intent("ssh.copy", target, "sent"),), reads)
    far = [each for each in sources if _is_far(each)]
    writes = (target,) if target else ()
    return Told(tuple(Intent("ssh.copy", each, "received") for each in far), reads, writes)


def _is_far(text: str) -> bool:
    return is_remote(text) or text.startswith(("rsync://", "scp://", "sftp://"))


def sftp(arguments: Sequence[str]) -> Told:
    """sftp(1)."""
    options = take(arguments, _SFTP_SHORT)
    reads = tuple(each for each in options.values("-b") if each != "-")
    copied = Told(tuple(Intent("ssh.copy", each) for each in options.rest[:1]), reads)
    return _on_the_way(options) + copied


def mount(arguments: Sequence[str]) -> Told:
    """sshfs(1): what is copied is not told before the files are used."""
    options = take(arguments, "opF")
    given = [("-o", each) for value in options.values("-o") for each in value.split(",")]
    mounted = (Intent("ssh.copy", each, "mounted") for each in options.rest[:1])
    return _on_the_way(Options(tuple(given))) + Told(tuple(mounted))


def copy_key(arguments: Sequence[str]) -> Told:
    """ssh-copy-id(1)."""
    options = take(arguments, "ipoFt")
    reads = tuple(options.values("-i"))
    sent = Told(tuple(Intent("ssh.copy", each, "sent") for each in options.rest[:1]), reads)
    return _on_the_way(options) + sent


def sshuttle(arguments: Sequence[str]) -> Told:
    """sshuttle(8): the host is the value of -r, the words are networks."""
    options = take(arguments, "rleNxXs", frozenset({"--remote", "--listen", "--ssh-cmd"}))
    hosts = options.values("-r", "--remote")
    return Told(tuple(Intent("ssh.login", each) for each in hosts))


def by_name(arguments: Sequence[str]) -> Told:
    """mosh(1), et(1): a host among the words."""
    rest = take(arguments, "prt", frozenset({"--ssh", "--server", "--port", "--client"})).rest
    return Told(tuple(Intent("ssh.login", each) for each in rest[:1]))
