"""pip: its configuration as it merges it itself, and the default index its own code carries.

Settings: https://pip.pypa.io/en/stable/topics/configuration/. Default: `pip/_internal/models/
index.py`, which names both the index and the host that serves its files.
"""

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from firewall.policy.sources.origin import (
    Answer,
    Origin,
    SourceError,
    origin,
    origins,
    output,
    program,
)

# Run by pip's own interpreter. One process instead of `pip config list`, which costs twice the
# time and does not show the defaults; argv[1] may put a wheel of pip on the path.
_SNIPPET = """
import json, sys
sys.path[:0] = sys.argv[1:]
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI, TestPyPI
configuration = Configuration(isolated=False)
configuration.load()
settings = {}
for key, value in configuration.items():
    settings.update(value if isinstance(value, dict) else {key: value})
indexes = [[index.simple_url, index.file_storage_domain] for index in (PyPI, TestPyPI)]
print(json.dumps({"settings": settings, "indexes": indexes}))
"""

# pip reads a command's section over [global], and the environment over both.
_SECTIONS = (":env:", "install", "global")


def answer() -> Answer:
    """The indexes and find-links of `pip install`, and the file hosts that pip knows for them."""
    known = _ask(_interpreter(Path(program("pip"))))
    settings = known["settings"]
    urls = list(_urls(settings))
    if not _setting(settings, "no-index"):
        index = _setting(settings, "index-url")
        default = (index, "pip's index-url") if index else (known["indexes"][0][0], "pip's default")
        urls = [default, *urls]
    found = origins(urls)
    return Answer((*found, *file_hosts(found, known)))


def carried() -> dict[str, Any]:
    """The indexes pip's code carries, without its settings: from the pip that is installed, or the
    one that Python brings along (ensurepip). Raises SourceError where there is neither."""
    try:
        return _ask(_interpreter(Path(program("pip"))))
    except SourceError:
        spec = find_spec("ensurepip")
        bundled = Path(spec.origin).parent / "_bundled" if spec and spec.origin else Path()
        wheels = sorted(bundled.glob("pip-*.whl"))
        if not wheels:
            raise
        return _ask(sys.executable, str(wheels[0]))


def file_hosts(found: tuple[Origin, ...], known: dict[str, Any]) -> tuple[Origin, ...]:
    """The hosts that serve the files of those indexes that pip's code carries."""
    hosts = {index.host: (index, files) for index, files in _table(known)}
    files = (
        (f"{hosts[each.host][0].scheme}://{hosts[each.host][1]}/", f"the files of {each.host}")
        for each in found
        if each.host in hosts
    )
    return origins(files)


def _table(known: dict[str, Any]) -> Iterator[tuple[Origin, str]]:
    for url, files in known["indexes"]:
        index = origin(url, "an index pip carries")
        if index is not None:
            yield index, files


def _urls(settings: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name in ("extra-index-url", "find-links"):
        if name == "extra-index-url" and _setting(settings, "no-index"):
            continue
        for url in _setting(settings, name).split():
            yield url, f"pip's {name}"


def _setting(settings: dict[str, str], name: str) -> str:
    value = next(
        (settings[f"{each}.{name}"] for each in _SECTIONS if f"{each}.{name}" in settings), ""
    )
    return "" if name == "no-index" and value.lower() in ("0", "false", "no", "off") else value


def _ask(python: str, *path: str) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(output([python, "-c", _SNIPPET, *path]))
    except ValueError as error:
        raise SourceError(f"{python} did not print pip's settings") from error
    return known


def _interpreter(script: Path) -> str:
    """The Python that runs pip: its script's first line, or beside a shim that has none."""
    with script.open("rb") as stream:
        first = stream.readline(512).decode(errors="replace").strip()
    if first.startswith("#!") and "python" in first.rpartition("/")[2]:
        return first[2:].split()[-1]
    beside = script.with_name("python")
    return str(beside if beside.exists() else script.with_name("python3"))
