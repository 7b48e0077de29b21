"""How far logs have come, by what a receiver keeps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firewall.audit import AuditLog, heads
from firewall.audit.ingest import ALARMS
from firewall.fleet.overview import Told
from firewall.fleet.records import of_folder


def test_a_receivers_folder(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "gpu-17", "gate-0")
    log.append({"kind": "verdict"})
    log.close()
    alarms = AuditLog(tmp_path / ALARMS, "alarms")
    for kind, source in (
        ("gap", "gpu-17"),
        ("gap", "gpu-17"),
        ("silence", "gpu-17"),
        ("fork", "b"),
    ):
        alarms.append({"kind": f"ingest.{kind}", "source": source})
    alarms.close()
    now = datetime.now(UTC)
    tells = of_folder(tmp_path, now)
    assert tells("gpu-17") == Told(heads(tmp_path / "gpu-17"), {"gap": 2})
    assert tells("b") == Told({}, {"fork": 1})
    later = of_folder(tmp_path, now + timedelta(days=8))
    assert later("gpu-17").alarms == {}


def test_a_folder_without_alarms(tmp_path: Path) -> None:
    assert of_folder(tmp_path, datetime.now(UTC))("gpu-17") == Told({})
    with pytest.raises(FileNotFoundError, match="no logs are kept here"):
        of_folder(tmp_path / "none", datetime.now(UTC))
