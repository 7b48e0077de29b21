"""The bench of the log measures durable appends and prints all of them."""

from pathlib import Path

import pytest

from tests.bench.audit import WAITERS, WRITERS, main


def test_every_writer_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(0.01, 1, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fdatasync of one record: ")
    for name in WRITERS:
        assert sum(line.startswith(f"{name}  ") for line in lines) == len(WAITERS)
    assert lines[-1].startswith("signed, ")
    assert all(float(line.split()[-2]) > 0 for line in lines[2:])
