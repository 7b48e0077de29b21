"""The fuzzer's invariants hold for its seeds, for mutations of them, and for a short guided run."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.recognisers import SEEDS, fuzz_one
from tests.unit.protocols.samples import FIRST_BYTES, WRAPPED

ROOT = Path(__file__).parents[2]


ALL = (*SEEDS, *FIRST_BYTES, *WRAPPED)


@pytest.mark.parametrize("data", ALL, ids=range(len(ALL)))
def test_seeds_and_mutations(data: bytes) -> None:
    chance = random.Random(7)
    for size in range(4):
        changed = bytearray(bytes([size * 7]) + data)
        for _ in range(size):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        fuzz_one(bytes(changed))


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (group fuzz)"
)
def test_a_short_guided_run(tmp_path: Path) -> None:
    for number, seed in enumerate(SEEDS):
        (tmp_path / str(number)).write_bytes(b"\x05" + seed)
    options = [
        "-max_total_time=5",
        "-max_len=512",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.recognisers", str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr or "Done" in done.stderr
