"""Git's smart HTTP protocol: fetch or push, and the repository (git's gitprotocol-http)."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from firewall.requests import Act

_SERVICES = {"git-upload-pack": "fetch", "git-receive-pack": "push"}


def git_acts(method: str, segments: Sequence[str], query: str) -> tuple[Act, ...]:
    """What a request with this decoded path asks of git; none where it is not git's.

    The dumb protocol, which reads a repository file by file, is not told.
    """
    if method == "POST" and len(segments) > 1 and segments[-1] in _SERVICES:
        return (Act(_SERVICES[segments[-1]], _repository(segments[:-1])),)
    if method == "GET" and len(segments) > 2 and list(segments[-2:]) == ["info", "refs"]:
        asked = [value for name, value in parse_qsl(query) if name == "service"]
        repository = _repository(segments[:-2])
        return tuple(Act(_SERVICES[each], repository) for each in asked if each in _SERVICES)
    return ()


def _repository(segments: Sequence[str]) -> str:
    return "/".join(segments).removesuffix(".git")
