"""What the gates of this machine judge by, as they say themselves."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from firewall.fleet.report import GATES, InForce
from firewall.proxy import control


def in_force(file: Path, directory: Path) -> list[InForce]:
    """The policies of the running gates that read theirs from `file`.

    `directory` has their control sockets. A gate that does not answer is left out.
    """
    wanted = file.resolve()
    found = Counter(
        (int(each["version"]), str(each["digest"]))
        for each in _statuses(directory)
        if each.get("file") and Path(each["file"]).resolve() == wanted
    )
    told = sorted(found.items())[:GATES]
    return [InForce(version=key[0], digest=key[1], count=count) for key, count in told]


def _statuses(directory: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError):
        for name in control.running(directory):
            with suppress(OSError, ValueError):
                yield control.ask(directory, name, {"do": "status"})
