"""The report tells everything without a script, and nothing an agent wrote becomes markup."""

import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from firewall.actor import Actor, Process
from firewall.audit import AuditLog, describe
from firewall.cli.chart import Mark, Sample, chart, samples
from firewall.requests import Connect
from firewall.verdict import Action, Severity, Verdict
from tests.unit.cli.test_audit import log, run, state
from tests.waiting import PATIENCE

__all__ = ["log", "state"]

EVIL = "</div><script>alert(1)</script>\x1b[31m\nstarted by init[1]"
ENDED = "the minute was over"


def gpu(*uses: int | None) -> dict[str, Any]:
    return {
        "status": "ok",
        "age_ms": 3,
        "devices": [],
        "history": [
            {
                "sampled_at": f"2026-01-31T12:00:{second:02d}Z",
                "utilisation": [use],
                "power_watts": [400.0],
            }
            for second, use in enumerate(uses)
        ],
    }


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    log = AuditLog(tmp_path / "audit", "gate")
    shell = Process(10, 1.0, "/bin/sh", ("sh", "-c", EVIL), 1000)
    miner = Process(11, 2.0, "/tmp/" + EVIL, ("miner",), 1000)
    verdict = Verdict(Action.DENY, "guards.mining", EVIL, Severity.CRITICAL, "name the pool")
    written = threading.Event()
    event = {
        "kind": "verdict",
        "request": {"type": "Connect", **describe(Connect("pool.test", 3333))},
        "verdict": describe(verdict),
        "actor": describe(Actor("s1", miner, (shell,), tool_call="call-1")),
        "flow": {},
        "gpu": gpu(97, 98, None, 99) | {"moment": "m1"},
    }
    log.append(event)
    log.append({"kind": "gpu-after", "moments": ["m1"], "ended": ENDED, "gpu": gpu(1)})
    alert = {"rule": "gpu.unexpected", "state": "raised", "severity": "critical", "sandbox": "s1"}
    alert["reason"] = "a process nobody expects"
    log.append({"kind": "gpu-alert", **alert}, lambda error: written.set())
    assert written.wait(PATIENCE)
    log.close()
    return tmp_path / "audit"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def written(attempts: Path, tmp_path: Path, *arguments: str) -> tuple[str, Page]:
    output = tmp_path / "report.html"
    code, told = run("report", *arguments, "--log", str(attempts), "-o", str(output))
    assert code == 0, told
    assert output.stat().st_mode & 0o777 == 0o600
    text = output.read_text()
    return text, Page(text)


def test_it_tells_what_who_why_and_how_to_allow(attempts: Path, tmp_path: Path) -> None:
    text, page = written(attempts, tmp_path)
    for told in (
        "1. guards.mining: tcp pool.test:3333",
        "started by sh[10]",
        "tool call call-1",
        "name the pool",
        "The log is intact",
        "gate: intact, 5 records",
        "GPU 0, ",
        "afterwards (the minute was over)",
        "gpu.unexpected raised (critical) s1: a process nobody expects",
    ):
        assert told in page.text
    assert "svg" in page.tags
    assert 'href="#attempt-1"' in text
    assert 'id="attempt-1"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_it_stands_alone_and_nothing_hostile_becomes_markup(attempts: Path, tmp_path: Path) -> None:
    text, page = written(attempts, tmp_path)
    assert "script" not in page.tags
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert "://" not in text
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in page.text
    assert "\\nstarted by init[1]" in page.text
    assert "\nstarted by init[1]" not in page.text


def test_a_tampered_log_is_told(attempts: Path, tmp_path: Path) -> None:
    (path,) = (attempts / "gate").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"name the pool", b"name the tool"))
    _, page = written(attempts, tmp_path)
    assert "The log is tampered" in page.text
    assert "the record's hash does not hold" in page.text


def test_terms_choose(log: Path, tmp_path: Path) -> None:
    _, page = written(log, tmp_path, "rule=default")
    assert "1 attempts" in page.text
    assert "three.test" in page.text
    assert "two.test" not in page.text
    assert "No record tells what a GPU did." in page.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("verdit=x",), "did you mean verdict?"), (("-o", "/nowhere/x"), "cannot be written")],
)
def test_what_is_wrong(log: Path, arguments: tuple[str, ...], told: str) -> None:
    code, output = run("report", *arguments, "--log", str(log))
    assert code == 2
    assert told in output


class TestChart:
    def test_a_line_is_broken_where_nothing_is_known(self) -> None:
        found = samples([{"gpu": gpu(10, None, 30)}, {"gpu": gpu(10)}, {}])
        assert [each.utilisation for each in found[0]] == [10.0, None, 30.0]
        drawn = chart("GPU 0", found[0], []).html()
        (line,) = re.findall(r'd="([^"]*)" class="use"', drawn)
        assert line.count("M") == 2
        assert "L" not in line

    def test_marks_lead_to_their_attempts(self) -> None:
        drawn = chart("<GPU>", [Sample(0.0, 1.0, None)], [Mark(5.0, 7, "<b>")]).html()
        assert 'href="#attempt-7"' in drawn
        assert "&lt;b&gt;" in drawn
        assert "&lt;GPU&gt;" in drawn

    def test_moments_far_apart_are_not_joined(self) -> None:
        line = [Sample(at, 50.0, None) for at in (0.0, 1.0, 60.0)]
        assert chart("GPU 0", line, []).html().count("M0.0 50.0h0L16.7 50.0M1000.0 50.0h0") == 1

    def test_numbers_that_would_overlap_are_left_out(self) -> None:
        marks = [Mark(float(at), at, "") for at in range(100)]
        drawn = chart("GPU 0", [], marks).html()
        assert drawn.count('href="#attempt-') == 100
        assert drawn.count('y="164"') == 20

    @pytest.mark.parametrize(
        "history", [None, 7, [None], [{}], [{"sampled_at": "x"}], [{"sampled_at": 1e400}]]
    )
    def test_damaged_histories_are_left_out(self, history: Any) -> None:
        assert samples([{"gpu": {"history": history}}]) == {}
