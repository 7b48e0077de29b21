"""Small signed logs for tests, made fast."""

import threading
from pathlib import Path

from firewall.audit import AuditLog, Key, keys
from firewall.audit.record import Stamp, boot_id
from firewall.audit.signer import Signer
from firewall.audit.storage import Disk, Storage
from tests.waiting import PATIENCE


def append(log: AuditLog, number: int) -> None:
    written = threading.Event()
    log.append({"kind": "verdict", "n": number}, lambda error: written.set())
    assert written.wait(PATIENCE)


def signer(root: Path, storage: Storage | None = None, file_checkpoints: int = 3) -> Signer:
    """A signer of the log in `root/audit`, its key in `root/authority`."""
    return Signer(
        root / "audit",
        root / "authority",
        storage or Disk(),
        boot_id(),
        Stamp.now,
        file_checkpoints,
    )


def signed_log(root: Path, rounds: int = 3, segment_limit: int = 900) -> Key:
    """Two chains, closed, a checkpoint after each of `rounds` records and at the end."""
    logs = [AuditLog(root / "audit", name, segment_limit=segment_limit) for name in ("a", "b")]
    writer = signer(root)
    for number in range(rounds):
        append(logs[number % 2], number)
        assert writer.sign() is not None
    for log in logs:
        log.close()
    writer.sign()
    writer.close()
    return keys.load(root / "authority").public
