"""What becomes of a chain's older segments: compressed, and removed when they may be.

Nothing is removed before a checkpoint says from where on each chain is kept, so that a verifier can
tell what was given up from what was taken. What an exporter has not shipped is kept longer, up to
HELD times what was asked for: a far end that never comes back must not fill the disk, which would
deny everything.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from firewall.audit.checkpoint import Head
from firewall.audit.cursor import Mark, shipped
from firewall.audit.errors import AuditError
from firewall.audit.record import check
from firewall.audit.segments import chains, first_seq, open_segment, segments
from firewall.audit.storage import sync_directory
from firewall.frozen import frozen

OPEN_SEGMENTS = 2
"""The newest of a chain, which its writer reads and writes: left as they are."""
LEVEL = 3
HELD = 2
"""How many times the size and the age to keep is kept for exporters that lag."""

logger = logging.getLogger(__name__)

_KEEP = re.compile(r"(\d+)(d|h|MB|GB)")
_UNITS = {"h": 3600, "d": 86400, "MB": 10**6, "GB": 10**9}


@frozen
class Keep:
    """How much of a log is kept: at most `size` bytes, nothing older than `seconds`; None: all."""

    size: int | None = None
    seconds: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Keep":
        """Read `90d`, `10GB` or `90d,10GB`. Raises ValueError that says how to write it."""
        size = seconds = None
        for part in text.split(","):
            found = _KEEP.fullmatch(part.strip())
            if found is None:
                raise ValueError(f"{text!r}: write how much to keep as 90d, 10GB or 90d,10GB")
            amount = int(found[1]) * _UNITS[found[2]]
            if found[2].endswith("B"):
                size = amount
            else:
                seconds = amount
        return cls(size, seconds)


def sealed(folder: Path) -> list[Path]:
    """A chain's segments that are not written any more, oldest first."""
    return segments(folder)[:-OPEN_SEGMENTS]


def compress_next(directory: Path) -> Path | None:
    """Compress the oldest sealed segment that is not; None where there is none."""
    for folder in chains(directory):
        for path in sealed(folder):
            if path.suffix == ".log":
                return compress(path)
    return None


def compress(path: Path) -> Path:
    """Replace a segment by its zstd form (RFC 8878), durable and read back before it goes."""
    import zstandard

    target, draft = path.with_suffix(".log.zst"), path.with_suffix(".zst-draft")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with path.open("rb") as source, os.fdopen(descriptor, "wb") as sink:
        zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).copy_stream(source, sink)
        sink.flush()
        os.fsync(sink.fileno())
    status = path.stat()
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    _must_be_the_same(path, draft)
    os.replace(draft, target)
    sync_directory(path.parent)
    path.unlink()
    return target


def _must_be_the_same(path: Path, draft: Path) -> None:
    import zstandard

    with path.open("rb") as source, draft.open("rb") as packed:
        unpacked = zstandard.ZstdDecompressor().stream_reader(packed)
        whole = hashlib.file_digest(source, "sha256").digest()
        again = hashlib.sha256()
        while block := unpacked.read(1 << 20):
            again.update(block)
    if again.digest() != whole:
        raise AuditError(f"{path}: its compressed form does not read back the same")


def surplus(directory: Path, keep: Keep, heads: Mapping[str, Head]) -> dict[str, list[Path]]:
    """The segments that need not be kept, by chain, oldest first; all of them signed.

    What an exporter has not shipped is among them, and told loudly, only beyond HELD times `keep`.
    """
    wanted = _beyond(directory, keep, heads)
    exporters = shipped(directory)
    if not any(_lacking(path, exporters) for paths in wanted.values() for path in paths):
        return wanted
    limit = Keep(*(each and each * HELD for each in (keep.size, keep.seconds)))
    forced = _beyond(directory, limit, heads)
    return {name: _let_go(paths, forced.get(name, []), exporters) for name, paths in wanted.items()}


def _beyond(directory: Path, keep: Keep, heads: Mapping[str, Head]) -> dict[str, list[Path]]:
    sizes = sum(path.stat().st_size for folder in chains(directory) for path in segments(folder))
    found: dict[str, list[Path]] = {}
    for path in sorted(_removable(directory, heads), key=lambda each: each.stat().st_mtime):
        status = path.stat()
        too_old = keep.seconds is not None and status.st_mtime < time.time() - keep.seconds
        too_much = keep.size is not None and sizes > keep.size
        if too_old or too_much:
            found.setdefault(path.parent.name, []).append(path)
            sizes -= status.st_size
    return {name: _from_the_first(directory / name, paths) for name, paths in found.items()}


def _let_go(
    paths: list[Path], forced: list[Path], exporters: Mapping[str, Mapping[str, Mark]]
) -> list[Path]:
    """Those from the first on that every exporter has shipped, or that are kept no longer."""
    wanted = []
    for path in paths:
        lacking = _lacking(path, exporters)
        if lacking and path not in forced:
            break
        if lacking:
            names = ", ".join(lacking)
            logger.error("%s is removed though %s has not shipped it", path, names)
        wanted.append(path)
    return wanted


def _lacking(path: Path, exporters: Mapping[str, Mapping[str, Mark]]) -> list[str]:
    """The exporters that have not shipped all of a segment."""
    files = segments(path.parent)
    following = first_seq(files[files.index(path) + 1])
    chain = path.parent.name
    return [
        name for name, marks in exporters.items() if marks.get(chain, Mark()).seq < following - 1
    ]


def _removable(directory: Path, heads: Mapping[str, Head]) -> Iterator[Path]:
    for folder in chains(directory):
        files = segments(folder)
        head = heads.get(folder.name)
        for path, following in list(pairwise(files))[: 1 - OPEN_SEGMENTS]:
            if head is not None and first_seq(following) <= head.seq:
                yield path


def _from_the_first(folder: Path, paths: list[Path]) -> list[Path]:
    """Those that stand at the chain's beginning without a gap."""
    wanted = []
    for each in segments(folder):
        if each not in paths:
            break
        wanted.append(each)
    return wanted


def kept_from(paths: list[Path]) -> Head:
    """Where a chain begins when these segments are gone. Raises AuditError where it is damaged."""
    files = segments(paths[0].parent)
    following = files[files.index(paths[-1]) + 1]
    with open_segment(following) as file:
        seal = check(file.readline())
    if seal is None or seal.seq != first_seq(following):
        raise AuditError(f"{following}:1: the record does not hold; nothing before it is removed")
    return Head(seal.seq, seal.hash, seal.seq, seal.prev)
