"""What finds secrets in what an agent sends, and says of each what it is and where it stands.

Texts that are known (secrets that the firewall holds, their placeholders, contents of marked files)
are found in every usual form (`protocols.needles`), keys of known formats by their form
(`protocols.leaks`). No finding repeats a secret.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from firewall.keyformats import Format, is_home
from firewall.protocols.leaks import Finder, Leak
from firewall.protocols.leakstream import Leaks
from firewall.protocols.needles import Needles, Search
from firewall.requests import Finding

type Fields = Sequence[tuple[bytes, bytes]]
type Tell = Callable[[str, str], Finding]
"""Makes the finding of a text from its name and where it stands."""

MARKED = "marked-file"


class Watcher(Protocol):
    """What finds something in one direction of a stream."""

    def feed(self, data: bytes) -> tuple[Finding, ...]: ...


class Seeker(Protocol):
    """What finds secrets of one kind. `where` is what a finding says of the place."""

    def find(self, text: bytes, where: str) -> tuple[Finding, ...]: ...
    def find_in_name(self, name: str, where: str) -> tuple[Finding, ...]: ...
    def stream(self, where: str) -> Watcher: ...


class Known:
    """Finds texts that are known."""

    def __init__(self, texts: Mapping[str, str], tell: Tell) -> None:
        self.needles = Needles(texts)
        self._tell = tell

    def __bool__(self) -> bool:
        return bool(self.needles)

    def find(self, text: bytes, where: str) -> tuple[Finding, ...]:
        return tuple(self._tell(each, where) for each in self.needles.find(text))

    def find_in_name(self, name: str, where: str) -> tuple[Finding, ...]:
        return tuple(self._tell(each, where) for each in self.needles.find_in_name(name))

    def stream(self, where: str) -> Watcher:
        return _KnownStream(self.needles, self._tell, where)


class _KnownStream:
    def __init__(self, needles: Needles, tell: Tell, where: str) -> None:
        self._search = Search(needles)
        self._tell = tell
        self._where = where

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        return tuple(self._tell(each, self._where) for each in self._search.feed(data))

    @property
    def begun(self) -> bool:
        """Whether a text may have begun, and is still to be completed."""
        return self._search.begun


class Keys:
    """Finds keys of known formats. `homes` are hosts of the policy, by format, besides its own."""

    def __init__(self, finder: Finder, homes: Mapping[str, Sequence[str]]) -> None:
        self._finder = finder
        self._homes = homes

    def __bool__(self) -> bool:
        return bool(self._finder)

    def find(self, text: bytes, where: str) -> tuple[Finding, ...]:
        return _distinct(_leaked(each, where) for each in self._finder.find(text))

    def find_in_name(self, name: str, where: str) -> tuple[Finding, ...]:
        return _distinct(_leaked(each, where) for each in self._finder.find_in_name(name))

    def stream(self, where: str) -> Watcher:
        return _KeysStream(self._finder, where)

    def find_abroad(self, text: bytes, place: str, host: str) -> tuple[Finding, ...]:
        """Those in a place of a request's head that are not at home there. "" is no host."""
        found = self._finder.find(text)
        return _distinct(
            _leaked(each, place) for each in found if not self.at_home(each.format, place, host)
        )

    def at_home(self, format_: Format, place: str, host: str) -> bool:
        """Whether a key of this format belongs in this place of a request to this host."""
        homes = (*format_.homes, *self._homes.get(format_.name, ()))
        return place in format_.places and is_home(host, homes)


class _KeysStream:
    def __init__(self, finder: Finder, where: str) -> None:
        self._leaks = Leaks(finder)
        self._where = where

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        return tuple(
            _leaked(each, f"{self._where}, byte {each.at}" if each.at >= 0 else self._where)
            for each in self._leaks.feed(data)
        )


class Lookout:
    """Several watches of one direction of a stream."""

    def __init__(self, watches: Iterable[Watcher]) -> None:
        self._watches = tuple(watches)

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """The findings that `data` completes."""
        found: tuple[Finding, ...] = ()
        for each in self._watches:
            found += each.feed(data)
        return found

    @property
    def begun(self) -> bool:
        """Whether a text that is known may have begun, and is still to be completed."""
        known = (each for each in self._watches if isinstance(each, _KnownStream))
        return any(each.begun for each in known)


def places(path: str, fields: Fields) -> list[tuple[str, bytes]]:
    """The places of a request's head ("header NAME", "query NAME", "path") and what stands there.
    `path` includes the query."""
    found = [(f"header {name.decode('latin-1').lower()}", value) for name, value in fields]
    target, _, query = path.partition("?")
    found += [(f"query {each.partition('=')[0]}", sent(each)) for each in query.split("&")]
    return [*found, ("path", sent(target))]


def whole(path: str, fields: Fields) -> bytes:
    """All that stands in a request's head, in which is no NUL: it parts what is not one text."""
    names, values = [name for name, _ in fields], [value for _, value in fields]
    return b"\0".join([b"\0".join(names).lower(), *values, sent(path)])


def sent(text: str) -> bytes:
    """A text as it was sent: what was no UTF-8 in it stands as surrogates."""
    return text.encode("utf-8", "surrogateescape")


def itself(name: str, where: str) -> Finding:
    return Finding("secret", "value", f"that of {name} itself", where)


def stands_in(name: str, where: str) -> Finding:
    return Finding("secret", "placeholder", f"that of {name}, where no rule sets it", where)


def marked(name: str, where: str) -> Finding:
    return Finding("secret", MARKED, f"what stands in {name}", where)


def _leaked(leak: Leak, where: str) -> Finding:
    format_ = leak.format
    sure = " whose checksum holds" if format_.confidence == "certain" else ""
    coded = f", in {leak.coding}" if leak.coding else ""
    evidence = f"{format_.what}{sure}{coded}"
    return Finding("secret", format_.name, evidence, where, format_.confidence)


def _distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))
