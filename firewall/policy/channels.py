"""What a rule allows inside SSH: matched against each thing asked for (requests.SshChannel)."""

import glob
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from firewall.policy.flow import quoted
from firewall.policy.paths import clean
from firewall.policy.ssh import SshTerms, file_glob
from firewall.requests import SshChannel, SshKind
from firewall.words import simple_words

NAMED: dict[SshKind, str] = {
    "login": "a login as",
    "host-key": "a host key",
    "exec": "the command",
    "shell": "a shell",
    "subsystem": "the subsystem",
    "pty": "a terminal",
    "env": "the variable",
    "local-forward": "a forward to",
    "remote-forward": "a reverse forward from",
    "cancel-remote-forward": "the end of a reverse forward from",
    "unix-local-forward": "a forward to the socket",
    "unix-remote-forward": "a reverse forward from the socket",
    "tun": "a tunnel device",
    "x11": "X11 forwarding",
    "agent": "agent forwarding",
    "read-file": "reading",
    "write-file": "writing",
    "limit": "",
    "unknown": "an unknown request",
}
"""Each kind as a person reads it, before its detail."""
FETCHING = 'commands: ["git-upload-pack *"]'
"""Something inside, where it is not known what is wanted there."""
_MAGIC, _BLANK = re.compile(r"[*?\[]"), re.compile(r"\s")


class Lack(NamedTuple):
    """What a rule allows instead, and how to change that, up to the rule's name; "" where nothing
    can be changed."""

    allows: str
    change: str


class Channels:
    """The compiled terms of one rule."""

    def __init__(self, terms: SshTerms) -> None:
        self.terms = terms
        self._read = [file_glob(text) for text in terms.read]
        self._write = [file_glob(text) for text in terms.write]
        scp = any(fnmatchcase("scp", glob.split()[0]) for glob in terms.commands)
        self._transfers = scp or "sftp" in terms.subsystems

    def covers(self, asked: SshChannel) -> bool:
        """Whether the rule allows it, to whoever may log in."""
        if self.terms.users and asked.user not in self.terms.users:
            return False
        return self._allows(asked)

    def _allows(self, asked: SshChannel) -> bool:
        terms = self.terms
        match asked.kind:
            case "login":
                allowed = True
            case "exec":
                scp = terms.files and _is_scp(asked)
                allowed = scp or any(_runs(glob, asked) for glob in terms.commands)
            case "shell" | "pty":
                allowed = terms.shell
            case "subsystem":
                sftp = terms.files and asked.detail == "sftp"
                allowed = sftp or asked.detail in terms.subsystems
            case "env":
                allowed = any(fnmatchcase(asked.detail, glob) for glob in terms.env)
            case "local-forward":
                allowed = asked.detail in terms.local_forwards
            case "read-file" | "write-file":
                allowed = self._allows_file(asked)
            case _:
                allowed = False
        return allowed

    def _allows_file(self, asked: SshChannel) -> bool:
        """A rule that allows SFTP or scp without a word of files leaves them to the server."""
        if not self.terms.files:
            return self._transfers
        path = f"/{asked.detail}" if asked.detail.startswith("~") else asked.detail
        segments = clean(path)
        globs = self._read if asked.kind == "read-file" else self._write
        return segments is not None and any(glob.matches(segments) for glob in globs)

    def lack(self, asked: SshChannel) -> Lack:
        """Why the rule, which does not cover it, does not."""
        terms = self.terms
        if terms.users and asked.user not in terms.users:
            return Lack(f"the users {_listed(terms.users)}", _to(asked.user, "users"))
        lacks = {
            "exec": Lack(f"the commands {_listed(terms.commands)}", _command(asked)),
            "shell": Lack("no shell", "write shell: true in"),
            "pty": Lack("no terminal", "write shell: true in"),
            "subsystem": Lack(f"the subsystems {_listed(terms.subsystems)}", _subsystem(asked)),
            "env": Lack(f"the variables {_listed(terms.env)}", _to(asked.detail, "env")),
            "local-forward": Lack(
                f"the forwards {_listed(terms.local_forwards)}",
                _to(asked.detail, "forwarding.local"),
            ),
            "read-file": Lack(f"reading {_listed(terms.read)}", _to(asked.detail, "files.read")),
            "write-file": Lack(f"writing {_listed(terms.write)}", _to(asked.detail, "files.write")),
        }
        return lacks.get(asked.kind, Lack("no such thing, and no rule can", ""))


def _runs(glob: str, asked: SshChannel) -> bool:
    """Whether a command is what a glob describes, word by word; a last * is any further words.

    A command that is more than one simple command is only ever equal to what is written, or
    covered by the glob * alone, which means whatever is asked.
    """
    if glob in ("*", asked.detail):
        return True
    patterns, words = glob.split(), simple_words(asked.detail)
    if not words:
        return False
    if patterns[-1] == "*" and len(words) >= len(patterns):
        patterns[-1:] = ["*"] * (len(words) - len(patterns) + 1)
    return len(patterns) == len(words) and all(map(fnmatchcase, words, patterns))


def _is_scp(asked: SshChannel) -> bool:
    """Whether a command is the server's end of scp, whose files the gateway judges one by one."""
    words = simple_words(asked.detail) or ("",)
    return words[0] == "scp" and not {"-t", "-f"}.isdisjoint(words)


def _to(value: str, key: str) -> str:
    return f"add {quoted(value)} to {key} of"


def _command(asked: SshChannel) -> str:
    only = _only(asked.detail)
    return _to(only, "commands") if only else ""


def _only(command: str) -> str:
    """The glob of this command and no other; "" where there is none."""
    if command.split()[:1] in ([], ["*"]):
        return ""
    words = simple_words(command)
    if not words or not _MAGIC.search(command):
        return command
    return "" if any(map(_BLANK.search, words)) else " ".join(map(glob.escape, words))


def _subsystem(asked: SshChannel) -> str:
    if asked.detail == "sftp":
        return "write files: {read: [...], write: [...]} in"
    return _to(asked.detail, "subsystems")


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values) or "none"


def opening(asked: SshChannel) -> str:
    """The keys of a rule that allow this and nothing else; "" where none can."""
    only, detail = _only(asked.detail), quoted(asked.detail)
    sftp = asked.detail == "sftp"
    keys = {
        "login": FETCHING,
        "exec": f"commands: [{quoted(only)}]" if only else "",
        "shell": "shell: true",
        "pty": "shell: true",
        "subsystem": "files: {read: [], write: []}" if sftp else f"subsystems: [{detail}]",
        "env": f"{FETCHING}, env: [{detail}]",
        "local-forward": f"forwarding: {{local: [{detail}]}}",
        "read-file": f"files: {{read: [{detail}]}}",
        "write-file": f"files: {{write: [{detail}]}}",
    }
    return keys.get(asked.kind, "")


def wanted(request: SshChannel) -> str:
    """What is asked for, in words."""
    return f"{NAMED[request.kind]} {request.detail}".strip()
