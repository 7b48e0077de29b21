"""How far an exporter has shipped a log: the file `ship/<exporter>.json` in the log's folder.

    {"gate-0":{"seq":17,"hash":"..."},"checkpoints":{"seq":3,"hash":""}}

It moves only after the far end has acknowledged, and each time whole: written beside, synced,
renamed. So a crash repeats some records, which (chain, seq) tells, and leaves none out. The file is
also the exporter's registration: what it has not shipped is kept (archive.py) until it is removed.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.storage import Disk, sync_directory
from firewall.frozen import frozen

FOLDER = "ship"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@frozen
class Mark:
    """The last record of a chain that was shipped; seq 0 where none was."""

    seq: int = 0
    hash: str = ""


class Cursor:
    """An exporter's place in every chain. One process at a time has it.

    Raises AuditBusy where another does, AuditError where the file is damaged, ValueError for a name
    that is no plain file name, OSError where the disk fails.
    """

    def __init__(self, directory: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"exporter {name!r}: write letters, digits, '.', '_' or '-'")
        self._path = directory / FOLDER / f"{name}.json"
        Disk().make_directory(self._path.parent)
        self._lock = _lock(self._path.with_suffix(".lock"))
        try:
            self._marks = _read(self._path) if self._path.exists() else {}
            self._save()
        except BaseException:
            self.close()
            raise

    def mark(self, chain: str) -> Mark:
        """Where this chain stands."""
        return self._marks.get(chain, Mark())

    def advance(self, chain: str, mark: Mark) -> None:
        """All records up to this one are acknowledged; durable when this returns."""
        self._marks[chain] = mark
        self._save()

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def _save(self) -> None:
        draft = self._path.with_suffix(".draft")
        text = json.dumps({name: asdict(each) for name, each in self._marks.items()})
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._path)
        sync_directory(self._path.parent)


def shipped(directory: Path) -> Mapping[str, Mapping[str, Mark]]:
    """How far each registered exporter is, by exporter and chain; nothing of a damaged file."""
    found: dict[str, Mapping[str, Mark]] = {}
    for path in sorted((directory / FOLDER).glob("*.json")):
        found[path.stem] = {}
        with contextlib.suppress(OSError, AuditError):
            found[path.stem] = _read(path)
    return found


def _read(path: Path) -> dict[str, Mark]:
    try:
        members = json.loads(path.read_bytes())
        return {
            str(name): Mark(int(each["seq"]), str(each["hash"])) for name, each in members.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuditError(
            f"{path}: this is no exporter's cursor ({error!r}); remove it to ship the log anew"
        ) from None


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AuditBusy(
            f"{path}: another process ships with this cursor; end it, or give this one a --name"
        ) from None
    return descriptor
