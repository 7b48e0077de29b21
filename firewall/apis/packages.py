"""Package indexes: which package a request is about.

PyPI: the simple index (PEP 503, PEP 691), its JSON API and files below it (file name conventions of
the packaging specifications). npm: the registry API (npm/registry, docs/REGISTRY-API.md), in which
a scope is joined by an escaped slash: @scope%2fname.
"""

import re
from collections.abc import Sequence

from firewall.requests import Act

_SEPARATORS = re.compile(r"[-_.]+")
_PYPI = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-[^-]+(?:-[^-]+){3,4}\.whl(?:\.metadata)?")
_SDIST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)-\d[^-]*\.(?:tar\.gz|zip)")
_NPM = re.compile(r"[a-z0-9~][a-z0-9._~-]*", re.IGNORECASE)
_READS = ("GET", "HEAD")


def pypi_acts(method: str, segments: Sequence[str], query: str) -> tuple[Act, ...]:
    """What is asked of an index of Python packages; names are normalised (PEP 503)."""
    does, parts = _does(method), [each for each in segments if each]
    match parts:
        case ["simple", name]:
            return _pypi(does, name)
        case ["pypi", name, "json"] | ["pypi", name, _, "json"]:
            return _pypi(does, name)
        case ["packages" | "files" | "simple", *_, name]:
            found = _WHEEL.fullmatch(name) or _SDIST.fullmatch(name)
            return _pypi(does, found[1]) if found else ()
    return ()


def npm_acts(method: str, segments: Sequence[str], query: str) -> tuple[Act, ...]:
    """What is asked of an index of npm packages, a scope being a segment of its own."""
    parts = list(segments)
    scope = [parts.pop(0)] if parts and parts[0].startswith("@") else []
    if not parts or not all(_NPM.fullmatch(each.removeprefix("@")) for each in (*scope, parts[0])):
        return ()
    name, rest = "/".join((*scope, parts[0])), parts[1:]
    file = rest[1:] if rest[:1] == ["-"] else []
    if len(rest) > 1 and not file_of(parts[0], file):
        return ()
    return (Act(_does(method), name),) if rest != ["-"] else ()


def file_of(name: str, file: list[str]) -> bool:
    """Whether a tarball is the package's own: NAME-VERSION.tgz."""
    return len(file) == 1 and file[0].startswith(f"{name}-") and file[0].endswith(".tgz")


def _does(method: str) -> str:
    return "download" if method in _READS else "publish"


def _pypi(does: str, name: str) -> tuple[Act, ...]:
    if not _PYPI.fullmatch(name):
        return ()
    return (Act(does, _SEPARATORS.sub("-", name).lower()),)
