"""The report and the dashboard in a browser: facts are seen, nothing leaves, nothing breaks."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firewall.audit import AuditLog
from tests.e2e.browser import Page, chromium
from tests.e2e.conftest import FIREWALL, needs
from tests.unit.cli.dashboard.test_command import dashboard
from tests.unit.cli.test_audit import state
from tests.unit.cli.test_report import EVIL, attempts
from tests.waiting import eventually

__all__ = ["attempts", "state"]

pytestmark = needs("chromium")

FACTS = ("guards.mining", "tcp pool.test:3333", "The log is intact", "a process nobody")
NARROW = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": True}
OVERFLOWS = "document.documentElement.scrollWidth > innerWidth"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "profile") as page:
        yield page


def test_both_pages(attempts: Path, state: Path, tmp_path: Path, page: Page) -> None:
    report = tmp_path / "report.html"
    words = ("audit", "report", "--log", str(attempts), "-o", str(report))
    subprocess.run([*FIREWALL, *words], check=True, capture_output=True)
    page.command("Emulation.setDeviceMetricsOverride", **NARROW)
    with dashboard(attempts, state) as (_, url):
        page.open(url)
        _see_dashboard(page, attempts)
        page.command("Emulation.setScriptExecutionDisabled", value=True)
        page.open(report.as_uri())
        eventually(lambda: "Blocked attempts\n" in page.text())
    assert [fact for fact in (*FACTS, "name the pool", "GPU 0") if fact not in page.text()] == []
    assert not page.evaluate(OVERFLOWS)
    origin = url.partition("?")[0]
    assert set(page.asked) == {url, origin, f"{origin}events", report.as_uri()}
    assert page.troubles == []


def _see_dashboard(page: Page, log: Path) -> None:
    eventually(lambda: all(fact in page.text() for fact in FACTS))
    page.evaluate("document.getElementById('attempt-1').open = true")
    assert EVIL.partition("\x1b")[0] in page.text()
    assert "name the pool" in page.text()
    _write_another(log)
    eventually(lambda: "live-rule" in page.text())
    assert "GPU 0" in page.text()
    assert page.evaluate("document.getElementById('attempt-1').open")
    assert page.evaluate("document.getElementById('state').textContent") == "live"
    assert not page.evaluate(OVERFLOWS)


def _write_another(directory: Path) -> None:
    log = AuditLog(directory, "gate")
    verdict = {"action": "deny", "rule": "live-rule", "reason": "no rule allows it"}
    now = {"sampled_at": datetime.now(UTC).isoformat(), "utilisation": [5]}
    log.append({"kind": "verdict", "verdict": verdict, "gpu": {"status": "ok", "history": [now]}})
    log.close()
