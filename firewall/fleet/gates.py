"""What the gates of this machine judge by, as they say themselves."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from firewall.fleet.report import GATES, InForce
from firewall.node.client import Node, NodeError
from firewall.proxy import control


def in_force(file: Path, directory: Path, node: str = "") -> list[InForce]:
    """The policies of the running gates that read theirs from `file`.

    `directory` has their control sockets; `node` is the socket of a node daemon, which counts as
    one. What does not answer is left out.
    """
    wanted = file.resolve()
    found = Counter(
        (int(each["version"]), str(each["digest"]))
        for each in chain(_statuses(directory), _of_node(node))
        if each.get("file") and Path(each["file"]).resolve() == wanted
    )
    told = sorted(found.items())[:GATES]
    return [InForce(version=key[0], digest=key[1], count=count) for key, count in told]


def _statuses(directory: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError):
        for name in control.running(directory):
            with suppress(OSError, ValueError):
                yield control.ask(directory, name, {"do": "status"})


def _of_node(socket: str) -> Iterator[dict[str, Any]]:
    if socket:
        with suppress(OSError, ValueError, NodeError), Node(socket) as node:
            yield from node.policies().values()
