"""`firewall sidecar check`: whether a pod's agent has no way past the gate beside it."""

from pathlib import Path

import typer
import yaml

from firewall.cli.lines import printable
from firewall.sidecar.manifest import Fault, faults, pods

_LONG = 1000


def checked(path: Path) -> bool:
    """Whether the pods of a file lack nothing; all that they lack is told."""
    try:
        found = list(pods(list(yaml.safe_load_all(path.read_text()))))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return _told(path, f"it cannot be read: {error}")
    if not found:
        return _told(path, "it makes no pod; name the file of one, or of what makes them")
    results = [_whole(path, pod.name, [*faults(pod)]) for pod in found]
    return all(results)


def _whole(path: Path, name: str, lacking: list[Fault]) -> bool:
    for each in lacking:
        _told(path, f"{name}: {each.what}; write: {each.write}")
    if not lacking:
        typer.echo(printable(f"ok {path}: {name}", _LONG))
    return not lacking


def _told(path: Path, what: str) -> bool:
    typer.echo(printable(f"{path}: {what}", _LONG), err=True)
    return False
