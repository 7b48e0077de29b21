"""What a reader of one program tells."""

import re
from urllib.parse import urlsplit

from firewall.frozen import frozen
from firewall.requests import Finding, Intent


@frozen
class Told:
    """Intents, the files that the program reads and writes, and what is always to be judged."""

    intents: tuple[Intent, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: "Told") -> "Told":
        return Told(
            self.intents + other.intents,
            self.reads + other.reads,
            self.writes + other.writes,
            self.findings + other.findings,
        )


NOTHING = Told()
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REMOTE = re.compile(r"(?:[^/:@\s]+@)?(?:\[[^]]+\]|[^/:@\s-][^/:@\s]*):(?!//)")


def is_url(text: str) -> bool:
    return _SCHEME.match(text) is not None


def is_remote(text: str) -> bool:
    """Whether it names a host as scp and rsync do: [user@]host:path."""
    return _REMOTE.match(text) is not None and not re.match(r"[A-Za-z]:\\", text)


def file_of(url: str) -> str:
    """The file name that a download gets where none is given; "" where the URL has none."""
    try:
        path = urlsplit(url if is_url(url) else f"http://{url}").path
    except ValueError:
        return ""
    return path.rpartition("/")[2]
