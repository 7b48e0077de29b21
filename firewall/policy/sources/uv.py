"""uv: its environment and configuration files, and the default its own help names.

Settings: https://docs.astral.sh/uv/reference/settings/ and .../concepts/configuration-files/. uv
learns file hosts from the index alone; those that pip's code knows are taken from there.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firewall.policy.sources.origin import (
    Answer,
    SourceError,
    origins,
    output,
    program,
    toml,
)
from firewall.policy.sources.pip import carried, file_hosts

_DEFAULT = re.compile(r"--default-index.*?by\s+default:\s*<(https?://[^>\s]+)>", re.DOTALL)


def answer() -> Answer:
    """The indexes and find-links of `uv pip install` and `uv sync` in this directory."""
    path = program("uv")
    settings = list(_environment()) + [pair for each in _files() for pair in _table(each)]
    default = next((pair for pair in settings if pair[2]), None)
    others = [pair[:2] for pair in settings if not pair[2]]
    first = default[:2] if default else (_carried(path), "uv's default")
    found = origins([first, *others])
    try:
        return Answer((*found, *file_hosts(found, carried())))
    except SourceError as error:
        return Answer(found, (f"uv does not know its index's file host, nor does pip: {error}",))


def _carried(path: str) -> str:
    match = _DEFAULT.search(output([path, "pip", "install", "--help"]))
    if match is None:
        raise SourceError("uv does not say what its default index is; set UV_DEFAULT_INDEX")
    return match[1]


def _environment() -> Iterator[tuple[str, str, bool]]:
    """URLs from the environment: (URL, why, whether it replaces the default index)."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for url in os.environ.get(name, "").split():
            yield _unnamed(url), f"uv's {name}", name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
    for url in os.environ.get("UV_FIND_LINKS", "").split(","):
        yield url, "uv's UV_FIND_LINKS", False


def _unnamed(url: str) -> str:
    """An index may be written as name=URL."""
    name, equals, rest = url.partition("=")
    return rest if equals and "/" not in name else url


def _files() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The user's and the machine's files, the nearest first; never the project's (see origin)."""
    if os.environ.get("UV_NO_CONFIG", "").lower() in ("1", "true"):
        return
    if chosen := os.environ.get("UV_CONFIG_FILE"):
        yield Path(chosen), toml(Path(chosen))
        return
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (user / "uv/uv.toml", Path("/etc/uv/uv.toml")):
        if path.is_file():
            yield path, toml(path)


def _table(file: tuple[Path, dict[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    path, body = file
    for table in (body, body.get("pip", {})):
        for index in table.get("index", []):
            yield index["url"], f"an index of {path.name}", bool(index.get("default"))
        if "index-url" in table:
            yield table["index-url"], f"index-url of {path.name}", True
        for name in ("extra-index-url", "find-links"):
            for url in table.get(name, []):
                yield url, f"{name} of {path.name}", False
