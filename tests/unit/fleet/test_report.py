"""Reports as they are signed and read, whoever sent them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.audit import keys
from firewall.fleet.report import REPORT_LIMIT, TITLE, Held, InForce, Refusal, Report, read, write
from firewall.notes import SigningKey, sign
from tests.unit.fleet.conftest import KEY, OTHER

HASH = "a" * 64
REPORT = Report(
    source="gpu-17",
    group="training",
    time=datetime(2026, 11, 26, 12, tzinfo=UTC),
    firewall="1.0",
    bundle=Held(name="coding", version=7, sha256=HASH),
    refused=Refusal(sha256=HASH, why="older", since=datetime(2026, 11, 26, tzinfo=UTC)),
    gates=[InForce(version=6, digest=HASH, count=2), InForce(version=7, digest=HASH, count=1)],
    heads={"gate-0": 4711},
)
MESSAGE = write(REPORT, KEY)
TEXT = f"{TITLE}\n{REPORT.model_dump_json()}\n"


def test_a_report_is_read_as_it_was_written() -> None:
    signed = read(MESSAGE)
    assert signed.report == REPORT
    assert (signed.by(KEY.public), signed.by(OTHER.public)) == (True, False)
    assert REPORT.behind == 2
    assert REPORT.model_copy(update={"bundle": None}).behind == 3


def test_a_changed_report_is_signed_by_nobody() -> None:
    assert not read(MESSAGE.replace(b'"gate-0":4711', b'"gate-0":4710')).by(KEY.public)


def test_a_key_that_followed_the_pinned_one_is_as_good(tmp_path: Path) -> None:
    pinned = keys.ensure(tmp_path).public
    keys.rotate(tmp_path)
    new = keys.load(tmp_path)
    notes = keys.rotations(tmp_path, None, new.public)
    rotated = REPORT.model_copy(update={"rotations": notes})
    assert read(write(rotated, new)).by(pinned)
    assert not read(write(REPORT, new)).by(pinned)
    assert not read(write(rotated, SigningKey.generate("x"))).by(pinned)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("other title\n{}\n", "it is no report"),
        (f"{TITLE}\n{{}}\n", "source: Field required"),
        (f"{TITLE}\nnull\n", "it: Input should be an object"),
        (f"{TITLE}\n{'[' * 100_000}\n", "it: Invalid JSON"),
        (TEXT.replace("gpu-17", "a.b"), "source: "),
        (TEXT.replace("4711", "-1"), "heads.gate-0"),
        (TEXT.replace("4711", "9" * 4000), "heads.gate-0"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read(sign(text, KEY).encode())
    assert "\n" not in str(caught.value)


def test_a_report_has_its_limit() -> None:
    with pytest.raises(ValueError, match="larger than"):
        read(MESSAGE + b" " * REPORT_LIMIT)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_report_or_a_value_error(data: bytes) -> None:
    _must_be_refused(data)


@given(st.integers(0, len(MESSAGE) - 1), st.binary(max_size=5), st.integers(0, 50))
def test_no_damaged_report_is_signed(position: int, filler: bytes, cut: int) -> None:
    damaged = MESSAGE[:position] + filler + MESSAGE[position + cut :]
    if damaged != MESSAGE:
        _must_be_refused(damaged)


def _must_be_refused(data: bytes) -> None:
    try:
        assert not read(data).by(KEY.public)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is well
