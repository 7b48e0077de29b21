"""apt: its source lists, in both formats of sources.list(5), read as apt reads them.

The files are read here because `apt-get indextargets` takes half a second to say the same.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from firewall.policy.sources.origin import Answer, SourceError, origins, output, program

_ONE_LINE = re.compile(r"deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)")
_FIELD = re.compile(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", re.MULTILINE)
_METHOD = re.compile(r"^(?:mirror\+|tor\+|spacewalk\+)")


def answer() -> Answer:
    """The hosts of all enabled sources."""
    lists, parts = _places()
    folder = sorted(parts.glob("*")) if parts.is_dir() else []
    pairs = [pair for path in (lists, *folder) if path.is_file() for pair in _file(path)]
    return Answer(origins(pairs))


def _places() -> tuple[Path, Path]:
    """Where apt-config says the main list and the folder of lists are."""
    argv = [program("apt-config"), "shell", "LISTS", "Dir::Etc::sourcelist/f"]
    text = output([*argv, "PARTS", "Dir::Etc::sourceparts/d"])
    found = dict(re.findall(r"^(LISTS|PARTS)='([^']*)'", text, re.MULTILINE))
    if len(found) != 2:
        raise SourceError("apt-config does not say where the source lists are")
    return Path(found["LISTS"]), Path(found["PARTS"])


def _file(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    urls: Iterator[str] = iter(())
    if path.suffix == ".list":
        matches = (_ONE_LINE.match(line.strip()) for line in lines)
        urls = (match[1] for match in matches if match)
    elif path.suffix == ".sources":
        urls = _stanzas("\n".join(lines))
    for url in urls:
        yield _METHOD.sub("", url), f"apt's {path.name}"


def _stanzas(text: str) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = {name.lower(): value for name, value in _FIELD.findall(stanza)}
        if fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0", "off"):
            yield from fields.get("uris", "").split()
