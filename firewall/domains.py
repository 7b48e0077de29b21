"""Registrable domains: what one owner holds of a name, by the Public Suffix List.

The list (publicsuffix.org, MPL-2.0) comes with the publicsuffixlist package and is read from there,
so nothing is asked of the network. It is read when first needed, in about 3 ms: once for both
questions, and in Unicode, as it is written, because to translate all of it into Punycode would take
fifty times as long.
"""

from functools import lru_cache
from pathlib import Path

from publicsuffixlist import PSLFILE

type Rules = frozenset[str]

_REGISTRIES_END = "// ===END ICANN DOMAINS==="


@lru_cache(maxsize=1)
def _rules() -> tuple[Rules, Rules]:
    """The rules that registries made, and all: theirs and those of services."""
    registries, _, services = Path(PSLFILE).read_text("utf-8").partition(_REGISTRIES_END)
    theirs = _lines(registries)
    return theirs, theirs | _lines(services)


def _lines(text: str) -> Rules:
    return frozenset(line for line in text.splitlines() if line and not line.startswith("//"))


@lru_cache(maxsize=4096)
def registrable(name: str) -> str | None:
    """The registrable domain of a name ("a.b.co.uk" -> "b.co.uk"); None for a public suffix.

    Services that give names below their own to strangers count as suffixes ("me.github.io"), and
    so does a top level that the list does not know. `name` is lower case, without a trailing dot.
    """
    labels = name.split(".")
    if "" in labels:
        return None
    _, rules = _rules()
    suffix = _suffix(_as_listed(name), rules) or 1
    return ".".join(labels[-1 - suffix :]) if len(labels) > suffix else None


def is_registry(name: str) -> bool:
    """Whether a registry sells names below this one ("com", "co.uk"), so that no one owns it.

    A top level that the list does not know ("internal") is somebody's own.
    """
    rules, _ = _rules()
    return _suffix(_as_listed(name), rules) == name.count(".") + 1


def _suffix(name: str, rules: Rules) -> int:
    """How many labels the public suffix of a name has; 0 where no rule is for it.

    Of the rules that fit the longest holds, and an exception before its wildcard, whose own name is
    a suffix as well (publicsuffix.org/list).
    """
    labels = name.split(".")
    for count in range(len(labels), 0, -1):
        ending = ".".join(labels[-count:])
        if f"!{ending}" in rules:
            return count - 1
        if f"*.{ending}" in rules:
            return min(count + 1, len(labels))
        if ending in rules:
            return count
    return 0


def _as_listed(name: str) -> str:
    """The name in the list's spelling, label for label; one in broken Punycode stays as it is."""
    return ".".join(map(_unicode, name.split("."))) if "xn--" in name else name


def _unicode(label: str) -> str:
    try:
        return label.encode("ascii").decode("idna")
    except UnicodeError:
        return label
