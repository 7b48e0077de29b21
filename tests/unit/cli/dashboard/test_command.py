"""`firewall dashboard` under load, and how it ends."""

import http.client
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from firewall.audit import AuditLog
from firewall.cli.main import app
from tests.e2e.conftest import FIREWALL
from tests.unit.cli.test_report import gpu
from tests.waiting import PATIENCE, eventually

RATE = 1_000
SECONDS = 2
LAG_SECONDS = 2.0
GROWTH_KIB = 40_000


@contextmanager
def dashboard(log: Path, state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running dashboard and its address."""
    process = subprocess.Popen(
        [*FIREWALL, "dashboard", "--log", str(log), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FIREWALL_STATE": str(state)},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


class Listener:
    """Hears the events; remembers the words of the newest facts, and when they came."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.port is not None
        self._client = http.client.HTTPConnection("127.0.0.1", place.port, timeout=PATIENCE)
        token = place.query.removeprefix("token=")
        cookie = f"firewall-dashboard-{place.port}={token}"
        self._client.request("GET", "/events", headers={"Cookie": cookie})
        self._answer = self._client.getresponse()
        self.events = 0
        self.records = -1
        self.ended = False
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        for line in self._answer:
            self.events += line.startswith(b"data:")
            if found := re.search(rb"([0-9,]+) records", line):
                self.records = int(found[1].replace(b",", b""))
        self.ended = True

    def close(self) -> None:
        self._client.close()
        self._answer.close()


def write(log: AuditLog, count: int) -> None:
    """Attempts at the rate, each with a minute of GPU readings."""
    event = {
        "kind": "verdict",
        "verdict": {"action": "deny", "rule": "default", "reason": "no rule allows it"},
        "gpu": gpu(*range(60)),
    }
    start = time.monotonic()
    for number in range(count):
        log.append(event, urgent=False)
        if number % 50 == 0:
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (resident,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(resident)


def test_a_flood_is_shown_at_once_and_ends_cleanly(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", "gate")
    with (
        dashboard(tmp_path / "audit", tmp_path) as (process, url),
        closing(Listener(url)) as client,
    ):
        write(log, RATE)
        eventually(lambda: client.records == RATE)
        before, heard = memory_kib(process.pid), client.events
        write(log, SECONDS * RATE)
        last = time.monotonic()
        eventually(lambda: client.records == (SECONDS + 1) * RATE)
        assert time.monotonic() - last < LAG_SECONDS
        assert client.events - heard <= 4 * (SECONDS + LAG_SECONDS)
        assert memory_kib(process.pid) - before < GROWTH_KIB
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        eventually(lambda: client.ended)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    log.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--listen", "here"), "'here' is no HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--log", "/nowhere"), "cannot be read"),
    ],
)
def test_what_is_wrong(arguments: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["dashboard", *arguments])
    assert (result.exit_code, told in result.output) == (2, True)
