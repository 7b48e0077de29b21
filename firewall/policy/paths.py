"""Globs over the path of an HTTP request.

`*` stands for anything within one segment (a segment that is only `*` is never empty), `**` for any
number of whole segments. A path is compared segment by segment, each percent-decoded once
(RFC 3986 section 2.1). One that servers could read in two ways is never allowed by a path rule.
"""

import re
from collections.abc import Sequence
from posixpath import normpath
from urllib.parse import unquote

from firewall.policy.errors import Fault

LENGTH_LIMIT = 8192
"""Characters of a path that a path rule can allow: what common servers take as a request line."""

_AMBIGUOUS = re.compile(
    r"[\x00-\x20\x7f\\#\ud800-\udfff]"  # what no client sends and servers disagree about
    r"|%(?![0-9A-Fa-f]{2})"  # not an escape
    r"|%(?:[01][0-9A-Fa-f]|7[Ff]|2[EeFf]|5[Cc])"  # controls, dots and slashes in hiding
    r"|/\.{1,2}(?=[/;]|$)"  # dot segments; some servers cut what follows a semicolon
)
_PARAMETERS = re.compile(r";[^/]*")
"""RFC 3986 section 3.3; Java's servers leave them out before they look at a path."""
_DECODE_LIMIT = 4


class PathGlob:
    """One compiled glob. Raises Fault where the text is none."""

    __slots__ = ("_blocks", "text")

    def __init__(self, text: str) -> None:
        _check(text)
        self.text = text
        self._blocks: list[list[re.Pattern[str]]] = [[]]
        for segment in text[1:].split("/"):
            if segment == "**":
                self._blocks.append([])
            else:
                self._blocks[-1].append(_segment(segment))

    def matches(self, segments: Sequence[str]) -> bool:
        """Whether the decoded segments of a path are what the glob describes.

        The parts between two `**` are found leftmost first, which is enough because each has a
        fixed number of segments: no backtracking over a hostile path.
        """
        first, *rest = self._blocks
        if not rest:
            return len(first) == len(segments) and _fits(first, segments, 0)
        last = rest.pop()
        end = len(segments) - len(last)
        if len(first) > end or not _fits(first, segments, 0) or not _fits(last, segments, end):
            return False
        position = len(first)
        for block in rest:
            while position + len(block) <= end and not _fits(block, segments, position):
                position += 1
            position += len(block)
        return position <= end


def _fits(block: list[re.Pattern[str]], segments: Sequence[str], start: int) -> bool:
    return all(pattern.fullmatch(segments[start + offset]) for offset, pattern in enumerate(block))


def _segment(text: str) -> re.Pattern[str]:
    # Atomic groups: the shortest match of each piece is enough, and a long segment costs no more.
    if text == "*":
        return re.compile(r"(?s:.+)")
    first, *rest = (re.escape(piece) for piece in text.split("*"))
    if not rest:
        return re.compile(first)
    last = rest.pop()
    middle = "".join(f"(?>.*?{piece})" for piece in rest)
    return re.compile(f"(?s:{first}{middle}.*{last})")


def _check(text: str) -> None:
    if not text.startswith("/"):
        raise Fault(f"the path {text!r} does not start with a slash", f"/{text.lstrip('/')}")
    if "?" in text or "#" in text:
        raise Fault(f"the path {text!r} has a query", text.partition("?")[0].partition("#")[0])
    if any("**" in segment and segment != "**" for segment in text.split("/")):
        raise Fault(f"in the path {text!r}, ** is part of a segment", "** alone between slashes")
    if "/**/**" in text:
        raise Fault(f"the path {text!r} has ** twice in a row", text.replace("/**/**", "/**"))
    if "%" in text or _AMBIGUOUS.search(text.replace(" ", "")):
        raise Fault(
            f"the path {text!r} has escapes, dot segments or backslashes",
            "the path as the server reads it, decoded, without . and .. segments",
        )


def clean(path: str) -> list[str] | None:
    """The decoded segments of a path without its query; None where it is ambiguous."""
    if not path.startswith("/") or len(path) > LENGTH_LIMIT or _AMBIGUOUS.search(path):
        return None
    if "%" not in path:
        return path[1:].split("/")
    try:
        return [unquote(segment, errors="strict") for segment in path[1:].split("/")]
    except UnicodeDecodeError:
        return None


def oddity(path: str) -> str:
    """What makes a path ambiguous, in words: for one of which `clean` says None."""
    if path == "*":
        return "* asks about the whole server, which is no path"
    if not path.startswith("/"):
        return "it does not begin with a slash"
    if len(path) > LENGTH_LIMIT:
        return f"it is longer than {LENGTH_LIMIT} characters"
    if "#" in path:
        return "it has a #fragment, which clients keep to themselves"
    return "it has dot segments or odd escapes"


def readings(path: str) -> list[list[str]]:
    """Every way a server may read a path: as sent, and with escapes and dot segments resolved,
    with and without what follows a semicolon in a segment."""
    found = [path]
    for _ in range(_DECODE_LIMIT):
        path = unquote(path, errors="replace")
        for each in (path, _PARAMETERS.sub("", path)):
            plain = "/" + normpath(each.replace("\\", "/")).strip("/")
            found += [plain, plain + "/"]
    return [each.removeprefix("/").split("/") for each in dict.fromkeys(found)]
