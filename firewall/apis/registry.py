"""Container registries: pull or push, and the repository (OCI distribution specification 1.1,
"Endpoints"). A mount from another repository is a pull of that one too."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from firewall.requests import Act

_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_READS = ("GET", "HEAD")


def registry_acts(method: str, segments: Sequence[str], query: str) -> tuple[Act, ...]:
    """What a request with this decoded path asks of a registry; none where that is not told.

    "check" is the question whether the server speaks the protocol (end-1), "delete" a DELETE.
    """
    if not segments or segments[0] != "v2":
        return ()
    rest = list(segments[1:])
    if rest in ([], [""]):
        return (Act("check", ""),) if method in _READS else ()
    cut = _upload(rest)
    if cut:
        return _acts("push", rest[:cut], *_mounted(query))
    if len(rest) > 2 and rest[-2] in ("manifests", "blobs", "referrers"):
        does = {"GET": "pull", "HEAD": "pull", "PUT": "push", "DELETE": "delete"}.get(method, "")
        return _acts(does, rest[:-2])
    if len(rest) > 2 and rest[-2:] == ["tags", "list"] and method in _READS:
        return _acts("pull", rest[:-2])
    return ()


def _upload(rest: list[str]) -> int:
    """The number of segments of the repository before blobs/uploads; 0 where it is no upload."""
    for end in (2, 3):
        if len(rest) > end and rest[-end : len(rest) - end + 2] == ["blobs", "uploads"]:
            return len(rest) - end
    return 0


def _mounted(query: str) -> list[Act]:
    pairs = parse_qsl(query, keep_blank_values=True)
    return [Act("pull", value) for name, value in pairs if name == "from"]


def _acts(does: str, repository: list[str], *more: Act) -> tuple[Act, ...]:
    if not does or not all(_PART.fullmatch(part) for part in repository):
        return ()
    return (Act(does, "/".join(repository)), *more)
