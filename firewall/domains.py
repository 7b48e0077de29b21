"""Registrable domains: what one owner holds of a name, by the Public Suffix List.

The list (publicsuffix.org, MPL-2.0) comes with the publicsuffixlist package and is read from there,
so nothing is asked of the network. It is parsed when first needed, in about 20 ms: in Unicode, as
it is written, because to translate all of it into Punycode would take ten times as long.
"""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_encoded_idn=False)


@lru_cache(maxsize=1)
def _registries() -> PublicSuffixList:
    return PublicSuffixList(accept_encoded_idn=False, only_icann=True, accept_unknown=False)


@lru_cache(maxsize=4096)
def registrable(name: str) -> str | None:
    """The registrable domain of a name ("a.b.co.uk" -> "b.co.uk"); None for a public suffix.

    Services that give names below their own to strangers count as suffixes ("me.github.io").
    `name` is lower case, without a trailing dot.
    """
    found = _suffixes().privatesuffix(_as_listed(name))
    return None if found is None else ".".join(name.split(".")[-1 - found.count(".") :])


def is_registry(name: str) -> bool:
    """Whether a registry sells names below this one ("com", "co.uk"), so that no one owns it.

    A top level that the list does not know ("internal") is somebody's own.
    """
    listed = _as_listed(name)
    return bool(_registries().publicsuffix(listed) == listed)


def _as_listed(name: str) -> str:
    """The name in the list's spelling, label for label; one in broken Punycode stays as it is."""
    return ".".join(map(_unicode, name.split("."))) if "xn--" in name else name


def _unicode(label: str) -> str:
    try:
        return label.encode("ascii").decode("idna")
    except UnicodeError:
        return label
