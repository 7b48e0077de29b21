"""Logs over a real NATS JetStream, with TLS and a token: killed at any point, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from firewall.audit import AuditLog, keys, verify
from firewall.audit.ingest import Alarm, Receiver
from firewall.audit.ingest.receiver import STREAM
from firewall.audit.segments import chains, segments
from firewall.audit.ship import NotTakenError, Settings, open_sink
from firewall.audit.ship.stream import connect
from tests.e2e.conftest import needs
from tests.e2e.nats import TOKEN, Nats
from tests.unit.audit.ship.far import item
from tests.unit.audit.signing import signer
from tests.waiting import PATIENCE, eventually

pytestmark = needs("nats-server")

STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nats]:
    monkeypatch.setenv("FIREWALL_NATS_TOKEN", TOKEN)
    folder = tmp_path / "nats"
    folder.mkdir()
    server = Nats(folder)
    yield server
    server.kill()
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait(PATIENCE)


def start(command: str, *arguments: str) -> subprocess.Popen[bytes]:
    code = "from firewall.cli.audit import app; app()"
    STARTED.append(
        subprocess.Popen(
            [sys.executable, "-c", code, command, *arguments], stderr=subprocess.DEVNULL
        )
    )
    return STARTED[-1]


def shipper(nats: Nats, root: Path, source: str, *more: str) -> subprocess.Popen[bytes]:
    options = ["--log", str(root / "audit"), "--source", source, "--ca", str(nats.ca), *more]
    return start("ship", "--to", nats.url, *options)


def ingester(nats: Nats, central: Path, pinned: Path, *more: str) -> subprocess.Popen[bytes]:
    options = ["--into", str(central), "--keys", str(pinned), "--ca", str(nats.ca), *more]
    return start("ingest", "--from", nats.url, *options)


class Writer:
    """Two chains under load, and a checkpoint every so often, until it is closed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stop = threading.Event()
        self._logs = [AuditLog(root / "audit", name) for name in ("gate-0", "depth-0")]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        writer = signer(self._root)
        while not self._stop.wait(0.05):
            for log in self._logs:
                for _ in range(5):
                    log.append({"kind": "verdict", "filler": "x" * 300})
            writer.sign()
        for log in self._logs:
            log.close()
        writer.sign()
        writer.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def written(audit: Path) -> dict[str, bytes]:
    """A log's bytes by chain, however they are cut into files."""
    found = {
        folder.name: b"".join(path.read_bytes() for path in segments(folder))
        for folder in chains(audit)
    }
    files = sorted((audit / "checkpoints").glob("*.notes"))
    return {**found, "checkpoints": b"".join(path.read_bytes() for path in files)}


def count(nats: Nats) -> int:
    """Messages in the stream."""
    import asyncio

    async def ask() -> int:
        client = await connect(nats.url, Settings("x", ca=nats.ca))
        state = (await client.jetstream().stream_info(STREAM)).state
        await client.close()
        return state.messages

    return asyncio.run(ask())


def test_a_fleet_is_killed_everywhere_and_nothing_is_lost_or_doubled(
    nats: Nats, tmp_path: Path
) -> None:
    roots = {name: tmp_path / name for name in ("host-1", "host-2")}
    central, pinned = tmp_path / "central", tmp_path / "pinned"
    pinned.mkdir()
    for name, root in roots.items():
        (pinned / f"{name}.pub").write_text(str(keys.ensure(root / "authority").public))
    writers = [Writer(root) for root in roots.values()]
    shippers = {name: shipper(nats, root, name) for name, root in roots.items()}
    ingest = ingester(nats, central, pinned)
    more_arrives(central)
    nats.kill()
    nats.start()
    more_arrives(central)
    for process in (*shippers.values(), ingest):
        process.kill()
        process.wait(PATIENCE)
    shippers = {name: shipper(nats, root, name) for name, root in roots.items()}
    ingest = ingester(nats, central, pinned)
    more_arrives(central)
    nats.kill()
    nats.start()
    for writer in writers:
        writer.close()
    for process in (*shippers.values(), ingest):
        process.send_signal(signal.SIGTERM)
    for process in (*shippers.values(), ingest):
        assert process.wait(PATIENCE) == 0
    rest = [shipper(nats, root, name, "--once") for name, root in roots.items()]
    assert [process.wait(PATIENCE) for process in rest] == [0, 0]
    assert ingester(nats, central, pinned, "--once").wait(PATIENCE) == 0

    total = 0
    for name, root in roots.items():
        original = written(root / "audit")
        assert written(central / name) == original
        total += sum(each.count(b"\n") for each in original.values())
        key = keys.load(root / "authority").public
        assert verify(central / name, key).status == "intact"
    assert total > 300
    assert count(nats) == total


def more_arrives(central: Path) -> None:
    """Wait until both hosts' logs have grown at the centre."""
    for name in ("host-1", "host-2"):
        eventually(partial(has_grown, central / name, size(central / name)))


def has_grown(folder: Path, before: int) -> bool:
    return size(folder) > before


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*"))


def receive(nats: Nats, into: Path, *, silence: float = 300) -> list[Alarm]:
    alarms: list[Alarm] = []
    receiver = Receiver(into, {}, alarms.append, silence=silence, stop=threading.Event())
    assert receiver.run(nats.url, Settings("ingest", ca=nats.ca), once=True)
    return alarms


def test_large_records_gaps_and_silence(nats: Nats, tmp_path: Path) -> None:
    central = tmp_path / "central"
    assert receive(nats, central) == []
    log = AuditLog(tmp_path / "host/audit", "gate-0", segment_limit=1)
    for size in (1, 1 << 20, 1):
        log.append({"kind": "verdict", "filler": os.urandom(size // 2).hex()})
        time.sleep(0.05)
    log.close()
    assert shipper(nats, tmp_path / "host", "host", "--once").wait(PATIENCE) == 0
    assert [alarm.kind for alarm in receive(nats, central)] == ["unpinned"]
    assert written(central / "host") == written(tmp_path / "host/audit")

    audit = tmp_path / "host/audit"
    log = AuditLog(audit, "gate-0", segment_limit=1)
    for _ in range(5):
        log.append({"kind": "verdict", "n": 1})
        time.sleep(0.05)
    log.close()
    here = segments(audit / "gate-0")
    shipped = json.loads(next((audit / "ship").glob("*.json")).read_text())["gate-0"]["seq"]
    for path in here:
        if int(path.name[:20]) <= shipped + 2:
            path.unlink()
    assert shipper(nats, tmp_path / "host", "host", "--once").wait(PATIENCE) == 4
    alarms = receive(nats, central)
    assert [alarm.kind for alarm in alarms] == ["unpinned", "gap"]
    assert alarms[1].why == f"records {shipped + 1} to {shipped + 2} did not come"

    time.sleep(1.1)
    (alarm,) = receive(nats, central, silence=1)
    assert (alarm.kind, alarm.source) == ("silence", "host")


def test_a_server_that_is_not_there(nats: Nats, tmp_path: Path) -> None:
    nats.kill()
    settings = Settings("host", ca=nats.ca)
    sink = open_sink(nats.url, settings)
    with pytest.raises(NotTakenError, match="localhost"):
        sink.send([item()])
    sink.close()
    receiver = Receiver(tmp_path / "c", {}, print, silence=300, stop=threading.Event())
    assert not receiver.run(nats.url, settings, once=True)
