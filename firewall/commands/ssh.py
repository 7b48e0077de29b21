"""OpenSSH's command line, read as ssh.c reads it.

Options are those of getopt(3) without permutation: clusters ("-fNR 80:h:80"), values attached or
apart, "--". After the host ssh looks for options once more, unless "--" stood before it; what then
remains is the command.
Settings given with -o follow ssh_config(5), where the first value of a keyword counts.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from firewall.commands.ssh_settings import split_setting
from firewall.frozen import frozen

_WITH_VALUE = frozenset("bceilmopBDEFIJLOPQRSWw")
"""ssh.c, getopt string. -P takes a value (a tag) since OpenSSH 9.4 only."""

_SSH = _WITH_VALUE
_SSH_BEFORE_TAGS = _WITH_VALUE - {"P"}
_AUTOSSH = _WITH_VALUE | {"M"}
"""autossh.c: -M takes the monitoring port; all else is passed on to ssh."""

_URI = re.compile(r"ssh://(?:([^@/]*)@)?(\[[^]]*\]|[^:/]*)(?::([0-9]+))?/?")
_NO = {"no", "false"}

_LISTS = {"R": "remote_forwards", "L": "local_forwards", "D": "dynamic_forwards"}
_SINGLES = {"W": "stdio_forward", "w": "tunnel", "l": "user", "J": "jumps", "O": "control"}
_FLAGS = {
    "A": ("agent_forwarding", True),
    "a": ("agent_forwarding", False),
    "X": ("x11_forwarding", True),
    "Y": ("x11_forwarding", True),
    "x": ("x11_forwarding", False),
}
_QUERIES = {"G": "-G", "Q": "-Q", "V": "-V"}
_ENDS = {"check", "exit", "stop", "cancel"}
_LIST_KEYWORDS = {
    "remoteforward": "remote_forwards",
    "localforward": "local_forwards",
    "dynamicforward": "dynamic_forwards",
}
_FLAG_KEYWORDS = {
    "forwardagent": "agent_forwarding",
    "forwardx11": "x11_forwarding",
    "clearallforwardings": "cleared",
}
_SINGLE_KEYWORDS = {"user": "user", "hostname": "hostname", "proxyjump": "jumps"}


@frozen
class SshInvocation:
    """What an ssh command line asks for.

    Forwards are in the spelling of -R, -L and -D ("8080:localhost:80"), whichever way they were
    given. They count even where ssh would refuse them or, being `cleared`, not open them: the
    intent is plain.
    `stdio_forward` is -W, `tunnel` the devices of -w or "any:any" for the option Tunnel alone.
    `hostname` is where the option HostName leads instead of `host`, `jumps` the hosts on the way,
    `control` what a running ssh is told (-O), `query` the option of those that only print.
    `configuration` names files whose settings count too and are not read here.
    """

    host: str | None = None
    user: str | None = None
    port: int | None = None
    remote_forwards: tuple[str, ...] = ()
    local_forwards: tuple[str, ...] = ()
    dynamic_forwards: tuple[str, ...] = ()
    stdio_forward: str | None = None
    tunnel: str | None = None
    agent_forwarding: bool = False
    x11_forwarding: bool = False
    command: tuple[str, ...] = ()
    hostname: str | None = None
    jumps: str | None = None
    cleared: bool | None = None
    control: str | None = None
    query: str | None = None
    configuration: tuple[str, ...] = ()

    @property
    def only_asks(self) -> bool:
        """Whether it prints something, or ends what a running ssh does, and opens nothing."""
        return self.query is not None or self.control in _ENDS


def parse_ssh(argv: Sequence[str], *, tags: bool = True) -> SshInvocation:
    """Read ssh's (or autossh's) arguments; `argv[0]` is the program.

    `tags` reads -P as OpenSSH does since 9.4, with a value. Unknown options count as flags.
    """
    with_value = _AUTOSSH if "autossh" in argv[0] else _SSH if tags else _SSH_BEFORE_TAGS
    parser = _Parser(with_value, iter(argv[1:]))
    first, ended = parser.options()
    if first is None:
        return parser.invocation()
    parser.destination(first)
    word, _ = (next(parser.waiting, None), True) if ended else parser.options()
    command = () if word is None else (word, *parser.waiting)
    return parser.invocation(command)


class _Parser:
    """Collects what options say. Of single values the first counts, as in ssh."""

    def __init__(self, with_value: frozenset[str], waiting: Iterator[str]) -> None:
        self._with_value = with_value
        self.waiting = waiting
        self._said: dict[str, Any] = {}
        self._lists: dict[str, list[str]] = {}

    def invocation(self, command: tuple[str, ...] = ()) -> SshInvocation:
        lists: dict[str, Any] = {name: tuple(values) for name, values in self._lists.items()}
        return SshInvocation(**self._said, **lists, command=command)

    def options(self) -> tuple[str | None, bool]:
        """Read the options at the start; returns the next word, and whether "--" ended them."""
        for word in self.waiting:
            if word == "--":
                return next(self.waiting, None), True
            if len(word) < 2 or word[0] != "-":
                return word, False
            for option, value in self._split(word):
                self._apply(option, value)
        return None, False

    def _split(self, word: str) -> Iterator[tuple[str, str]]:
        """A cluster's options; the first that takes a value takes the rest or the next word."""
        for at, option in enumerate(word[1:], 2):
            if option in self._with_value:
                yield option, word[at:] or next(self.waiting, "")
                return
            yield option, ""

    def destination(self, text: str) -> None:
        """[user@]host or ssh://[user@]host[:port] (ssh.c, misc.c parse_ssh_uri)."""
        if uri := _URI.fullmatch(text):
            user, host, port = uri.groups()
            self._first("user", unquote(user) if user else None)
            self._first("port", _port(port or ""))
            self._first("host", host.strip("[]"))
            return
        user, at, host = text.rpartition("@")
        self._first("user", user if at else None)
        self._first("host", host)

    def _apply(self, option: str, value: str) -> None:
        if option in _LISTS:
            self._add(_LISTS[option], value)
        elif option in _SINGLES:
            self._first(_SINGLES[option], value)
        elif option in _FLAGS:
            name, enabled = _FLAGS[option]
            self._said[name] = enabled
        elif option in _QUERIES:
            self._first("query", _QUERIES[option])
        elif option == "p":
            self._first("port", _port(value))
        elif option == "F" and value != "none":
            self._add("configuration", value)
        elif option == "o":
            self._configure(value)

    def _configure(self, setting: str) -> None:
        """One line of ssh_config(5)."""
        keyword, words = split_setting(setting)
        if not words:
            return
        enabled = words[0].lower() not in _NO
        if keyword in _LIST_KEYWORDS:
            self._add(_LIST_KEYWORDS[keyword], ":".join(words[:2]))
        elif keyword in _FLAG_KEYWORDS:
            self._first(_FLAG_KEYWORDS[keyword], enabled)
        elif keyword == "tunnel" and enabled:
            self._first("tunnel", "any:any")
        elif keyword == "port":
            self._first("port", _port(words[0]))
        elif keyword == "include":
            self._lists.setdefault("configuration", []).extend(words)
        elif keyword in _SINGLE_KEYWORDS:
            self._first(_SINGLE_KEYWORDS[keyword], words[0])

    def _add(self, name: str, value: str) -> None:
        self._lists.setdefault(name, []).append(value)

    def _first(self, name: str, value: str | int | None) -> None:
        if name == "jumps" and isinstance(value, str):
            # A host on the way may be a URI (ssh(1), -J); ssh takes no more than the first word.
            words = value.replace("ssh://", "").partition("#")[0].split()
            value = words[0] if words else None
        if value is not None:
            self._said.setdefault(name, value)


def _port(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None
