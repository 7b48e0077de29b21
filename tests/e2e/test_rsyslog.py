"""Logs over syslog to a real rsyslogd with TLS: all of it arrives, in order, as it was written."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from firewall.audit import AuditLog
from firewall.audit.segments import segments
from tests.e2e.conftest import needs
from tests.waiting import PATIENCE, eventually

pytestmark = needs("rsyslogd")

RECORDS = 300
CONFIG = """
global(
    workDirectory="{folder}" maxMessageSize="4m"
    defaultNetstreamDriverCAFile="{folder}/ca.pem"
    defaultNetstreamDriverCertFile="{folder}/cert.pem"
    defaultNetstreamDriverKeyFile="{folder}/key.pem"
)
module(
    load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"
    maxFrameSize="4000000"
)
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="whole" type="string" string="%structured-data% %msg%\\n")
action(type="omfile" file="{folder}/taken" template="whole")
"""
_TAKEN = re.compile(r'\[agentFirewall@32473 chain="([^"]+)" seq="(\d+)" [^\]]*\] \ufeff?(.*)')


class Rsyslog:
    """An rsyslogd on loopback that writes what it takes into a file."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.taken = folder / "taken"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        certificate = authority.issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = folder / "rsyslog.conf"
        config.write_text(CONFIG.format(folder=folder, port=self.port))
        program = shutil.which("rsyslogd", path="/usr/sbin:/sbin") or "rsyslogd"
        command = [program, "-n", "-f", str(config), "-i", str(folder / "pid")]
        self._process = subprocess.Popen(command)
        eventually(self._answers)

    def lines(self, chain: str) -> list[tuple[int, str]]:
        """Number and text of what came of a chain, in the order in which it came."""
        found = self.taken.read_text() if self.taken.exists() else ""
        parts = [_TAKEN.fullmatch(line) for line in found.splitlines()]
        return [(int(part[2]), part[3]) for part in parts if part and part[1] == chain]

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    server = Rsyslog(folder)
    yield server
    server.end()


def ship(server: Rsyslog, audit: Path) -> int:
    code = "from firewall.cli.audit import app; app()"
    to = f"syslog+tls://localhost:{server.port}"
    options = ["--log", str(audit), "--ca", str(server.ca), "--once"]
    return subprocess.run(
        [sys.executable, "-c", code, "ship", "--to", to, *options], check=False, timeout=PATIENCE
    ).returncode


def written(audit: Path) -> list[str]:
    return [line for path in segments(audit / "gate-0") for line in path.read_text().splitlines()]


def test_a_log_arrives_whole_and_in_order(rsyslog: Rsyslog, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    log = AuditLog(audit, "gate-0", segment_limit=1 << 16)
    for number in range(RECORDS):
        log.append({"kind": "verdict", "n": number, "text": '"]\\ \u00fc' * (number % 50)})
    log.append({"kind": "verdict", "filler": "x" * 600_000})
    log.close()
    assert ship(rsyslog, audit) == 0
    wanted = written(audit)
    eventually(lambda: len(rsyslog.lines("gate-0")) >= len(wanted))
    assert [json.loads(text)["seq"] for _, text in rsyslog.lines("gate-0")] == [
        number for number, _ in rsyslog.lines("gate-0")
    ]
    assert [text for _, text in rsyslog.lines("gate-0")] == wanted


def test_only_what_is_new_is_sent_again(rsyslog: Rsyslog, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    for _ in range(2):
        log = AuditLog(audit, "gate-0")
        log.append({"kind": "verdict", "at": time.time()})
        log.close()
        assert ship(rsyslog, audit) == 0
    eventually(lambda: len(rsyslog.lines("gate-0")) >= len(written(audit)))
    assert [text for _, text in rsyslog.lines("gate-0")] == written(audit)
