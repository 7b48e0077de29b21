"""cargo: its configuration files and environment, and the default registry its binary carries.

Settings: https://doc.rust-lang.org/cargo/reference/config.html and .../source-replacement.html.
Where crates are downloaded from stands in the index's own config.json (`dl`, https://doc.rust-lang.
org/cargo/reference/registry-index.html), which cargo keeps a copy of once it has used the index.
"""

import json
import mmap
import os
import re
import shutil
from collections.abc import Iterator
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
    toml,
)

_DEFAULT = re.compile(rb"sparse\+(https://[a-z0-9.-]+/)")


def answer() -> Answer:
    """The index of the default registry or its replacement, other registries, and file hosts."""
    binary = _binary(program("cargo"))
    merged = _settings()
    replaced = list(_replacement(merged.get("source", {})))
    first = replaced or [(_carried(binary), "cargo's default")]
    found = origins((url.removeprefix("sparse+"), why) for url, why in [*first, *_others(merged)])
    files = {each.host: list(_file_hosts(each)) for each in found}
    notes = tuple(
        f"cargo has not used {host} here yet, so its file host is not known: add the host of `dl`"
        f" in the index's config.json to a rule, or run `cargo fetch` once outside"
        for host, urls in files.items()
        if not urls
    )
    pairs = [(url, f"the files of {host}") for host, urls in files.items() for url in urls]
    return Answer((*found, *origins(pairs)), notes)


def _binary(path: str) -> Path:
    """The cargo behind rustup's proxy, or cargo itself."""
    if Path(path).resolve().name in ("rustup", "rustup-init"):
        rustup = shutil.which("rustup") or str(Path(path).with_name("rustup"))
        return Path(output([rustup, "which", "cargo"]).strip())
    return Path(path)


def _carried(binary: Path) -> str:
    with binary.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as view:
        match = _DEFAULT.search(view)
        url = match[1].decode() if match else ""
    if not url:
        raise SourceError("cargo's binary does not name its default registry; replace the source")
    return url


def _home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def _settings() -> dict[str, Any]:
    """The user's own file; never the project's (see origin)."""
    for name in ("config.toml", "config"):
        if (_home() / name).is_file():
            return toml(_home() / name)
    return {}


def _replacement(sources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Follow `replace-with` from the default registry; a local or vendored source has no host."""
    name, seen = "crates-io", set()
    while name not in seen and (target := sources.get(name, {}).get("replace-with")):
        seen.add(name)
        name = str(target)
    source = sources.get(name, {})
    if name != "crates-io":
        yield str(source.get("registry", "file:")), f"cargo's source {name}"


def _others(merged: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, table in merged.get("registries", {}).items():
        if "index" in table:
            yield str(table["index"]), f"cargo's registry {name}"
    for name, value in os.environ.items():
        if name.startswith("CARGO_REGISTRIES_") and name.endswith("_INDEX"):
            yield value, f"cargo's {name}"


def _file_hosts(index: Origin) -> Iterator[str]:
    """Download addresses from cargo's copies of the index's config.json."""
    for path in (_home() / "registry/index").glob(f"{index.host}-*/config.json"):
        try:
            url = json.loads(path.read_text())["dl"]
            if origin(url, "dl") is not None:
                yield url
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error
