"""ssh and what goes through it: logins, forwards, copies."""

from collections.abc import Iterator, Sequence

from firewall.commands.programs.options import take
from firewall.commands.programs.told import NOTHING, Told, is_remote
from firewall.commands.ssh import SshInvocation, parse_ssh
from firewall.requests import Intent

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

    Aliases and settings of a configuration file are not known from the command line.
    """
    return Told(tuple(_intents(parse_ssh([program, *arguments]))))


def _intents(found: SshInvocation) -> Iterator[Intent]:
    host = found.host or ""
    who = f"{found.user}@{host}" if found.user else host
    place = f"{who}:{found.port}" if found.port else who
    if found.command:
        yield Intent("ssh.exec", place, " ".join(found.command))
    elif host:
        yield Intent("ssh.login", place)
    for each in found.remote_forwards:
        yield Intent("ssh.forward-remote", place, each)
    for each in found.local_forwards:
        yield Intent("ssh.forward-local", place, each)
    for each in found.dynamic_forwards:
        yield Intent("ssh.forward-dynamic", place, each)
    if found.stdio_forward is not None:
        yield Intent("ssh.forward-stdio", place, found.stdio_forward)
    if found.tunnel is not None:
        yield Intent("ssh.tunnel-device", place, found.tunnel)
    if found.agent_forwarding:
        yield Intent("ssh.forward-agent", place)
    if found.x11_forwarding:
        yield Intent("ssh.forward-x11", place)


def scp(arguments: Sequence[str]) -> Told:
    """scp(1): the last word is where to."""
    return _copy(take(arguments, _SCP_SHORT).rest)


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
    return Told(tuple(Intent("ssh.copy", each) for each in options.rest[:1]), reads)


def by_name(arguments: Sequence[str]) -> Told:
    """sshfs, ssh-copy-id, mosh, et, sshuttle: a host among the words."""
    rest = take(arguments, "eioprtx").rest
    return Told(tuple(Intent("ssh.login", each) for each in rest[:1]))
