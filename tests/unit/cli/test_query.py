"""`firewall audit query` and `stats` as a person runs them."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.cli.test_audit import log, run, state

__all__ = ["log", "state"]


@pytest.mark.parametrize(
    ("terms", "hosts"),
    [
        (("verdict=deny",), ["two.test", "three.test"]),
        (("rule=guards.*",), ["two.test"]),
        (("host=*.test", "-n", "1"), ["four.test"]),
        (("verdict=deny", "since=1h", "port>=443", "rule!=default"), ["two.test"]),
        (("host=nowhere",), []),
    ],
)
def test_query(log: Path, terms: tuple[str, ...], hosts: list[str]) -> None:
    code, output = run("query", *terms, "--log", str(log))
    assert code == 0
    lines = output.splitlines()
    assert [host for line, host in zip(lines, hosts, strict=True) if host in line] == hosts


def test_records_as_they_are(log: Path) -> None:
    code, output = run("query", "rule=default", "--json", "--log", str(log))
    assert code == 0
    assert json.loads(output)["request"]["host"] == "three.test"


def test_sql(log: Path) -> None:
    query = "SELECT host, port FROM records WHERE verdict = 'deny' ORDER BY seq"
    code, output = run("query", "--sql", query, "--log", str(log))
    assert (code, output) == (0, "host\tport\ntwo.test\t443\nthree.test\t443\n")


def test_stats(log: Path) -> None:
    code, output = run("stats", "verdict=deny", "--log", str(log))
    assert code == 0
    assert "verdict\n          2  deny\nrule\n          1  default\n" in output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("query", "verdit=deny"), "did you mean verdict?"),
        (("query", "--sql", "nonsense"), "the table is records"),
        (("stats", "flow.bytes>1"), "cannot be counted by"),
    ],
)
def test_what_is_wrong(log: Path, arguments: tuple[str, ...], told: str) -> None:
    code, output = run(*arguments, "--log", str(log))
    assert code == 2
    assert told in output


def test_no_log(tmp_path: Path) -> None:
    code, output = run("query", "--log", str(tmp_path / "nowhere"))
    assert code == 2
    assert "there is no audit log here" in output


def test_evidence_that_cannot_be_written_to(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access

    def access(path: object, mode: int, **more: bool) -> bool:
        return (path != log or mode != os.W_OK) and real(path, mode, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "access", access)
    code, output = run("query", "verdict=deny", "--log", str(log))
    assert (code, len(output.splitlines())) == (0, 2), output
    assert not (log / "index.sqlite").exists()
