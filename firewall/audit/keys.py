"""The key that signs checkpoints: made when it is first needed, replaced by a note of both keys.

Beside the private key (mode 0600) lies its public half, for whoever verifies elsewhere, and one
note for each key that followed another: signed by the old key and by the new one, so that who
trusts either trusts both, and the old one can be destroyed at once.
"""

import contextlib
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from firewall.audit.errors import AuditError
from firewall.audit.storage import Disk, sync_directory
from firewall.notes import Key, Note, SigningKey, sign

_FILE = "audit-key"
_PUBLIC = "audit-key.pub"
_ROTATION = "audit-key-*.rotation"
_REDACTION = "redaction-key"
_TITLE = "agent-firewall audit key rotation"
_ODD = re.compile(r"[^A-Za-z0-9.-]+")


def ensure(directory: Path) -> SigningKey:
    """The signing key of this folder, made first if there is none.

    Raises AuditError where others can read it or it is damaged, OSError where it cannot be kept.
    """
    Disk().make_directory(directory)
    path = directory / _FILE
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            _place(path, SigningKey.generate(_name()).text(), replace=False)
    key = load(directory)
    if public_file(directory) != str(key.public):
        _place(directory / _PUBLIC, str(key.public), replace=True)
    return key


def redaction_key(directory: Path) -> bytes:
    """The key of the marks that stand for secrets, made first if there is none.

    It lies beside the signing key and never in the log: with both, weak secrets could be guessed.
    Raises AuditError where it is damaged, OSError where it cannot be kept.
    """
    Disk().make_directory(directory)
    path = directory / _REDACTION
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            _place(path, secrets.token_hex(32), replace=False)
    try:
        return bytes.fromhex(path.read_text().strip())
    except ValueError:
        raise AuditError(f"{path}: this is no key; move it away, and a new one is made") from None


def load(directory: Path) -> SigningKey:
    """The signing key as it stands. Raises as `ensure` does."""
    path = directory / _FILE
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise AuditError(
            f"{path} can be read by others, who could sign checkpoints of their own; make a new "
            f"one with `firewall audit rotate-key` after: chmod 0600 {path}"
        )
    try:
        return SigningKey.parse(path.read_text().strip())
    except ValueError as error:
        raise AuditError(f"{path}: {error}; restore it, or move it away to begin anew") from None


def public_file(directory: Path) -> str | None:
    """The public key kept in this folder; None where there is none."""
    try:
        return (directory / _PUBLIC).read_text().strip()
    except OSError:
        return None


def rotate(directory: Path) -> tuple[Key, Key]:
    """Replace the key; returns the old and the new public key. Raises as `ensure` does."""
    lock = Disk().lock(directory)
    try:
        old = load(directory)
        new = SigningKey.generate(old.public.name)
        note = sign(_rotation_text(old.public, new.public), old, new)
        _place(directory / f"audit-key-{new.public.id.hex()}.rotation", note, replace=False)
        _place(directory / _FILE, new.text(), replace=True)
        _place(directory / _PUBLIC, str(new.public), replace=True)
    finally:
        os.close(lock)
    return old.public, new.public


def rotations(directory: Path, old: bytes | None, new: Key) -> list[str]:
    """The notes that lead from the key of id `old` to `new`, or all that lead to `new`.

    Raises AuditError where none lead from `old`.
    """
    found = {}
    for path in sorted(directory.glob(_ROTATION)):
        note = path.read_text()
        if (pair := rotation(note)) is not None:
            found[pair[1].id] = (pair[0].id, note)
    notes: list[str] = []
    wanted = new.id
    while wanted != old and wanted in found:
        wanted, note = found.pop(wanted)
        notes.insert(0, note)
    if old is not None and wanted != old:
        raise AuditError(
            f"{directory}: no rotation leads from the key {old.hex()}, which signed the last "
            f"checkpoint, to the key {new.id.hex()}; restore the old key and replace it with "
            "`firewall audit rotate-key`, or begin a new log elsewhere"
        )
    return notes


def rotation(note: str) -> tuple[Key, Key] | None:
    """The old and the new key of a rotation that both have signed; None for anything else."""
    try:
        parsed = Note.parse(note)
        title, old_text, new_text, *_ = parsed.text.split("\n")
        old, new = Key.parse(old_text), Key.parse(new_text)
    except ValueError:
        return None
    valid = title == _TITLE and all(parsed.standing(key) == "valid" for key in (old, new))
    return (old, new) if valid else None


def succession(trusted: Key, notes: Iterable[str]) -> Sequence[Key]:
    """The keys from first to last that `trusted` is one of, by a log's rotations in their order."""
    pairs = [pair for note in notes if (pair := rotation(note)) is not None]
    keys = [trusted]
    for old, new in pairs:
        if old == keys[-1]:
            keys.append(new)
    for old, new in reversed(pairs):
        if new == keys[0]:
            keys.insert(0, old)
    return keys


def _rotation_text(old: Key, new: Key) -> str:
    return f"{_TITLE}\n{old}\n{new}\n{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n"


def _name() -> str:
    """A key's name tells where it was made."""
    return f"{_ODD.sub('-', socket.gethostname()) or 'localhost'}/agent-firewall"


def _place(path: Path, text: str, *, replace: bool) -> None:
    """Write a private file whole and durably, over the one that stands there or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text if text.endswith("\n") else text + "\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(name, path)
        else:
            os.link(name, path)
        sync_directory(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
