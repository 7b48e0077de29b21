"""Programs that run commands on other machines, and what they start here to get there."""

import re
from itertools import pairwise

from firewall.commands.ssh import parse_ssh
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, Options, read_options

_SSH = Grammar("b:c:e:i:l:m:o:p:B:D:E:F:I:J:L:O:P:Q:R:S:W:w:1246aAfgkKMnNqstTvVxXyYCG", "")
_SCP = Grammar("c:D:F:i:J:l:o:P:S:X:b:B:R:s:1234ABCOpqrTvafN", "")
_RUNS = frozenset(
    {
        "proxycommand",
        "localcommand",
        "knownhostscommand",
        "remotecommand",
        "xauthlocation",
        "proxyusefdpass",
    }
)
_LOADS = frozenset({"pkcs11provider", "securitykeyprovider", "include"})


def ssh_runs(words: Words) -> list[Inner]:
    """ssh, scp, sftp: the remote command, and what settings start here (ssh_config(5))."""
    name = (words[0] or "").rpartition("/")[2]
    if name == "mosh":
        return _mosh(words)
    copies = name in {"scp", "sftp"}
    options = _interleaved(words[1:], _SCP if copies else _SSH)
    found: list[Inner] = [Hidden(f"options of {name} that are only known when it runs")]
    found = found if None in options.rest[:1] else []
    found += [inner for value in options.values("o") for inner in _setting(value)]
    found += [
        Hidden("a configuration file of ssh")
        for value in options.values("F")
        if value not in {"none", "/dev/null"}
    ]
    if not copies:
        found += [Hidden("code is loaded into ssh") for _ in options.values("I")]
        found += _remote(words)
    return found


def _interleaved(words: Words, grammar: Grammar) -> Options:
    """Options before and after the host; what follows it is scanned once more, as ssh does."""
    options = read_options(words, grammar)
    more = read_options(options.rest[1:], grammar)
    options.given += more.given
    return options


def _setting(value: str | None) -> list[Inner]:
    if value is None:
        return [Hidden("a setting of ssh that is only known when it runs")]
    name, _, text = value.strip().replace("=", " ", 1).partition(" ")
    name, text = name.strip(' "').lower(), text.strip().strip('"')
    if name in _LOADS and text.lower() not in {"none", ""}:
        return [Hidden(f"{name} makes ssh run other code")]
    if name in _RUNS and text.lower() not in {"none", "yes", "no", ""}:
        return [Shell(text.removeprefix("exec "), f"ssh {name}", elsewhere=name == "remotecommand")]
    return []


def _remote(words: Words) -> list[Inner]:
    command = parse_ssh([word if word is not None else "\0" for word in words]).command
    if not command:
        return [] if {"-N", "-f"} & set(words) else [Input("ssh")]
    text = " ".join(command)
    host = parse_ssh([word or "host" for word in words]).host or "host"
    return [Shell(None if "\0" in text else text, f"ssh {host}", elsewhere=True)]


def _mosh(words: Words) -> list[Inner]:
    options = read_options(
        words[1:],
        Grammar(
            "p:n46a",
            "ssh= server= client= predict= port= no-init local no-ssh-pty family= bind-server=",
        ),
    )
    rest = options.rest[2:] if options.rest[1:2] == ["--"] else options.rest[1:]
    found: list[Inner] = [Shell(value, "mosh --ssh") for value in options.values("ssh", "client")]
    return [*found, Run(rest, "mosh", elsewhere=True)] if rest else found


_KUBECTL = Grammar(
    "n:c:itqf:s:p",
    "namespace= container= stdin tty quiet filename= context= cluster= "
    "kubeconfig= user= server= token= image= "
    "pod-running-timeout= request-timeout= command restart= rm labels= env= overrides= target= "
    "copy-to= profile= share-processes port= dry-run=",
)


def kubectl_runs(words: Words) -> list[Inner]:
    """exec POD -- COMMAND; run and debug alike. Without `--` all after the pod is the command."""
    rest = list(words[1:])
    verb = next((word for word in rest if word in {"exec", "run", "debug", "rsh"}), None)
    if verb is None:
        return []
    after = rest[rest.index(verb) + 1 :]
    if "--" in after:
        return [Run(after[after.index("--") + 1 :], f"kubectl {verb}", elsewhere=True)]
    more = read_options(after, _KUBECTL).rest[1:]
    return [Run(more, f"kubectl {verb}", elsewhere=True)] if more and verb != "debug" else []


_SERVES = frozenset({"rcd", "rc", "serve"})
_STARTS = re.compile(r"(?:\A|,)(?:ssh|[a-z_]+_command)(?:=|\Z)")


def rclone_runs(words: Words) -> list[Inner]:
    """What rclone is told by others once it runs, and settings that start a program here.

    rclone.org/commands/rclone_rcd, rclone_serve, /rc ("core/command" runs any of its commands),
    /docs ("Connection strings").
    """
    asked = any(word == "--rc" or (word or "").startswith("--rc=") for word in words)
    found: list[Inner] = []
    if asked or _SERVES & set(_verbs(words)):
        found.append(Hidden("what a running rclone is asked for is only known when it runs"))
    if any(_STARTS.search(word) for word in words[1:] if word):
        found.append(Hidden("a setting of rclone that starts a program"))
    return found


def _verbs(words: Words) -> list[str]:
    """What may be the subcommand: a word before it may be the value of an option."""
    found: list[str] = []
    for before, word in pairwise(word or "" for word in words):
        if not word.startswith("-"):
            found.append(word)
            if not before.startswith("-") or "=" in before:
                break
    return found
