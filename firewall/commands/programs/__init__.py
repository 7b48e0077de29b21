"""Readers of single programs: what their arguments say that they are about to do."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from firewall.commands.programs import git, network, remote, transfer
from firewall.commands.programs.files import FILES, mounts
from firewall.commands.programs.interpreters import (
    awk,
    debugged,
    interpreter,
    is_interpreter,
    nix,
    timed,
)
from firewall.commands.programs.packages import MANAGERS, manager
from firewall.commands.programs.told import NOTHING, Told

type Reader = Callable[[Sequence[str]], Told]

_READERS: Mapping[str, Reader] = {
    "curl": transfer.curl,
    "wget": transfer.wget,
    "wget2": transfer.wget,
    **dict.fromkeys(("http", "https", "xh", "xhs"), transfer.httpie),
    **dict.fromkeys(("aria2c", "axel", "fetch", "snarf"), transfer.fetcher),
    "lwp-download": transfer.lwp_download,
    "lftp": transfer.lftp,
    **{
        name: partial(transfer.cloud, name)
        for name in ("aws", "gsutil", "gcloud", "rclone", "s3cmd")
    },
    **dict.fromkeys(("awk", "gawk", "nawk", "mawk"), awk),
    "nix": nix,
    "timeit": timed,
    "pdb": debugged,
    **dict.fromkeys(("kubectl", "oc"), transfer.kubectl),
    **dict.fromkeys(("git", "hub", "yadm"), git.git),
    "jj": git.jujutsu,
    **dict.fromkeys(("gh", "glab"), git.forge),
    **dict.fromkeys(("hg", "svn", "bzr"), git.other),
    "scp": remote.scp,
    "sftp": remote.sftp,
    "rsync": remote.rsync,
    **dict.fromkeys(("mosh", "et"), remote.by_name),
    "ssh-copy-id": remote.copy_key,
    "sshfs": remote.mount,
    "sshuttle": remote.sshuttle,
    "dbclient": remote.dropbear,
    **dict.fromkeys(("plink", "putty", "klink"), remote.putty),
    "tsh": remote.teleport,
    **dict.fromkeys(
        ("nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "nmap-ncat", "pwncat", "nc64"),
        network.nc,
    ),
    "socat": network.socat,
    "openssl": network.openssl,
    "telnet": network.telnet,
    "fping": network.fping,
    **dict.fromkeys(("xterm", "uxterm"), network.xterm),
    **dict.fromkeys(
        ("nmap", "masscan", "zmap", "rustscan", "arp-scan", "unicornscan", "naabu"),
        network.scanner,
    ),
}
_VERSION = re.compile(r"[-_.]?[0-9][0-9.]*\Z")
_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_SSH = frozenset({"ssh", "slogin", "autossh", "lsh"})


def read(name: str, arguments: Sequence[str]) -> Told:
    """What a program does. `name` is without its folder, perhaps with a version ("pip3.12")."""
    if name[-1:].isdigit() and not _is_known(name) and _is_known(plain := _VERSION.sub("", name)):
        name = plain
    reader = _READERS.get(name) or FILES.get(name)
    told = reader(arguments) if reader else _by_kind(name, arguments)
    return told + interpreter(name, arguments) if reader and is_interpreter(name) else told


def _is_known(name: str) -> bool:
    return any(name in names for names in (_READERS, FILES, MANAGERS, _SSH, network.VPNS))


def _by_kind(name: str, arguments: Sequence[str]) -> Told:
    if name in _SSH:
        return remote.ssh(name, arguments)
    if name in network.VPNS:
        return network.vpn(name, arguments)
    told = manager(name, arguments) if name in MANAGERS else NOTHING
    if name in _ENGINES:
        return told + mounts(arguments)
    # deno and bun are both: they install packages and run code.
    return interpreter(name, arguments) if told == NOTHING and is_interpreter(name) else told
