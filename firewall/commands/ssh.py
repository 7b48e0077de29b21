"""OpenSSH's command line, read as ssh.c reads it.

Options are those of getopt(3) without permutation: clusters ("-fNR 80:h:80"), values attached or
apart, "--". After the host ssh looks for options once more, unless "--" stood before it; what then
remains is the command.
Settings given with -o follow ssh_config(5), where the first value of a keyword counts.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

_WITH_VALUE = frozenset("bceilmopBDEFIJLOPQRSWw")
"""ssh.c, getopt string. -P takes a value (a tag) since OpenSSH 9.4 only."""

_SSH = _WITH_VALUE
_SSH_BEFORE_TAGS = _WITH_VALUE - {"P"}
_AUTOSSH = _WITH_VALUE | {"M"}
"""autossh.c: -M takes the monitoring port; all else is passed on to ssh."""

_KEYWORD = re.compile(r'\s*"?([A-Za-z0-9]+)"?\s*=?\s*(.*?)\s*', re.DOTALL)
_URI = re.compile(r"ssh://(?:([^@/]*)@)?(\[[^]]*\]|[^:/]*)(?::([0-9]+))?/?")
_NO = {"no", "false"}

_LISTS = {"R": "remote_forwards", "L": "local_forwards", "D": "dynamic_forwards"}
_SINGLES = {"W": "stdio_forward", "w": "tunnel", "l": "user"}
_FLAGS = {"A": "agent_forwarding", "X": "x11_forwarding", "Y": "x11_forwarding"}
_LIST_KEYWORDS = {
    "remoteforward": "remote_forwards",
    "localforward": "local_forwards",
    "dynamicforward": "dynamic_forwards",
}
_FLAG_KEYWORDS = {
    "forwardagent": "agent_forwarding",
    "forwardx11": "x11_forwarding",
    "forwardx11trusted": "x11_forwarding",
}


@dataclass(frozen=True, slots=True)
class SshInvocation:
    """What an ssh command line asks for.

    Forwards are in the spelling of -R, -L and -D ("8080:localhost:80"), whichever way they were
    given. They count even where ssh would refuse or clear them: the intent is plain.
    `stdio_forward` is -W, `tunnel` the devices of -w or "any:any" for the option Tunnel alone.
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


def parse_ssh(argv: Sequence[str], *, tags: bool = True) -> SshInvocation:
    """Read ssh's (or autossh's) arguments; `argv[0]` is the program.

    `tags` reads -P as OpenSSH does since 9.4, with a value. Unknown options count as flags.
    """
    with_value = _AUTOSSH if "autossh" in argv[0] else _SSH if tags else _SSH_BEFORE_TAGS
    parser = _Parser(with_value)
    rest, ended = parser.options(list(argv[1:]))
    if rest:
        parser.destination(rest.pop(0))
        if not ended:
            rest, _ = parser.options(rest)
    return replace(parser.invocation, command=tuple(rest))


class _Parser:
    """Collects what options say. Of single values the first counts, as in ssh."""

    def __init__(self, with_value: frozenset[str]) -> None:
        self._with_value = with_value
        self.invocation = SshInvocation()

    def options(self, arguments: list[str]) -> tuple[list[str], bool]:
        """Read the options at the start; returns what follows, and whether "--" ended them."""
        while arguments and len(arguments[0]) > 1 and arguments[0][0] == "-":
            word = arguments.pop(0)
            if word == "--":
                return arguments, True
            for option, value in self._split(word, arguments):
                self._apply(option, value)
        return arguments, False

    def _split(self, word: str, arguments: list[str]) -> Iterator[tuple[str, str]]:
        """A cluster's options; the first that takes a value takes the rest or the next word."""
        for at, option in enumerate(word[1:], 2):
            if option in self._with_value:
                yield option, word[at:] or (arguments.pop(0) if arguments else "")
                return
            yield option, ""

    def destination(self, text: str) -> None:
        """[user@]host or ssh://[user@]host[:port] (ssh.c, misc.c parse_ssh_uri)."""
        if uri := _URI.fullmatch(text):
            user, host, port = uri.groups()
            self._first(user=unquote(user) if user else None, port=_port(port or ""))
            self._first(host=host.strip("[]"))
            return
        user, at, host = text.rpartition("@")
        self._first(user=user if at else None, host=host)

    def _apply(self, option: str, value: str) -> None:
        if option in _LISTS:
            self._add(_LISTS[option], value)
        elif option in _SINGLES:
            self._first(**{_SINGLES[option]: value})
        elif option in _FLAGS:
            self._set(**{_FLAGS[option]: True})
        elif option == "p":
            self._first(port=_port(value))
        elif option == "o":
            self._configure(value)

    def _configure(self, setting: str) -> None:
        """One line of ssh_config(5): keyword, blanks or one "=", value."""
        parts = _KEYWORD.fullmatch(setting)
        words = _words(parts[2]) if parts else []
        if not parts or not words:
            return
        keyword, enabled = parts[1].lower(), words[0].lower() not in _NO
        if keyword in _LIST_KEYWORDS:
            self._add(_LIST_KEYWORDS[keyword], ":".join(words[:2]))
        elif keyword in _FLAG_KEYWORDS and enabled:
            self._set(**{_FLAG_KEYWORDS[keyword]: True})
        elif keyword == "tunnel" and enabled:
            self._first(tunnel="any:any")
        elif keyword == "user":
            self._first(user=words[0])
        elif keyword == "port":
            self._first(port=_port(words[0]))

    def _add(self, name: str, value: str) -> None:
        self._set(**{name: (*getattr(self.invocation, name), value)})

    def _first(self, **values: str | int | None) -> None:
        for name, value in values.items():
            if value is not None and getattr(self.invocation, name) is None:
                self._set(**{name: value})

    def _set(self, **values: object) -> None:
        self.invocation = replace(self.invocation, **values)  # type: ignore[arg-type]


def _words(text: str) -> list[str]:
    """Split a value as ssh does (misc.c argv_split); one that is misquoted is taken as it is."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _port(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None
