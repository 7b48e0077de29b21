"""Registrable domains: what one owner holds of a name, by the Public Suffix List.

The list (publicsuffix.org, MPL-2.0) comes with the publicsuffixlist package and is read from there,
so nothing is asked of the network. It is parsed when first needed, in about 50 ms.
"""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=1)
def _registries() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True, accept_unknown=False)


@lru_cache(maxsize=4096)
def registrable(name: str) -> str | None:
    """The registrable domain of a name ("a.b.co.uk" -> "b.co.uk"); None for a public suffix.

    Services that give names below their own to strangers count as suffixes ("me.github.io").
    `name` is lower case, without a trailing dot.
    """
    found = _suffixes().privatesuffix(name)
    return str(found) if found is not None else None


def is_registry(name: str) -> bool:
    """Whether a registry sells names below this one ("com", "co.uk"), so that no one owns it.

    A top level that the list does not know ("internal") is somebody's own.
    """
    return bool(_registries().publicsuffix(name) == name)
