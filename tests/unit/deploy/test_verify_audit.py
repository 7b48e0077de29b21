"""Two verifiers that share no code say the same of every log, however it was tampered with."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firewall.audit import Key, keys, verify
from firewall.cli.audit import EXITS
from tests.unit.audit.signing import signed_log, signer

SOURCE = Path(__file__).parents[3] / "deploy/verify_audit.py"


@pytest.fixture(scope="module")
def other() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_audit", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


type Log = tuple[Path, Key]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    root = tmp_path_factory.mktemp("signed")
    return root, signed_log(root, rounds=5)


def test_it_is_short_and_stands_alone() -> None:
    text = SOURCE.read_text()
    code = text.split('"""', 2)[2].splitlines()
    assert len([each for each in code if each.strip() and not each.strip().startswith("#")]) < 100
    assert "import firewall" not in text
    assert "from firewall" not in text


def agree(other: ModuleType, directory: Path, key: Key | None) -> int:
    """What both find."""
    first = EXITS[verify(directory, key).status]
    assert other.main(str(directory), str(key or "")) == first, verify(directory, key)
    return first


def files(directory: Path) -> list[Path]:
    return [*sorted(directory.glob("*/*.log")), *sorted(directory.glob("*/*.notes"))]


def test_an_intact_log(other: ModuleType, log: Log) -> None:
    root, key = log
    assert agree(other, root / "audit", key) == 0
    assert agree(other, root / "audit", None) == 0


def test_a_foreign_key(other: ModuleType, log: Log, tmp_path: Path) -> None:
    assert agree(other, log[0] / "audit", keys.ensure(tmp_path).public) == EXITS["unsigned"]


def test_a_rotated_key(other: ModuleType, tmp_path: Path) -> None:
    signed_log(tmp_path)
    old, new = keys.rotate(tmp_path / "authority")
    writer = signer(tmp_path)
    writer.sign()
    writer.close()
    assert EXITS[verify(tmp_path / "audit", old).status] == 0
    assert other.main(str(tmp_path / "audit"), f"{old},{new}") == 0
    assert other.main(str(tmp_path / "audit"), str(old)) == EXITS["unsigned"]


@pytest.mark.parametrize("name", ["a", "b", "checkpoints"])
def test_a_folder_that_is_gone(other: ModuleType, log: Log, tmp_path: Path, name: str) -> None:
    directory = tmp_path / "audit"
    shutil.copytree(log[0] / "audit", directory)
    shutil.rmtree(directory / name)
    expected = EXITS["unsigned"] if name == "checkpoints" else EXITS["missing"]
    assert agree(other, directory, log[1]) == expected


def test_every_truncation(other: ModuleType, log: Log, tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    shutil.copytree(log[0] / "audit", directory)
    for path in files(directory):
        whole = path.read_bytes()
        found = set()
        for length in range(0, len(whole), 17):
            path.write_bytes(whole[:length])
            found.add(agree(other, directory, log[1]))
        path.write_bytes(whole)
        assert found <= {EXITS[each] for each in ("intact", "torn", "truncated", "gap", "tampered")}
        assert path.suffix == ".notes" or 0 not in found, "a signed record was cut unseen"


def flip(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes([data[place] ^ value]) + data[place + 1 :]


def insert(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes([value]) + data[place:]


def delete(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + data[place + value :]


def zero(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes(len(data) - place)


def whole_lines(data: bytes, place: int, value: int) -> bytes:
    """Lines repeated, removed or reordered."""
    lines = data.splitlines(keepends=True)
    one, two = place % len(lines), value % len(lines)
    if value % 3 == 0:
        lines[one], lines[two] = lines[two], lines[one]
    elif value % 3 == 1:
        lines.insert(one, lines[two])
    else:
        del lines[one]
    return b"".join(lines)


@settings(deadline=None, max_examples=400)
@given(
    how=st.sampled_from([flip, insert, delete, zero, whole_lines]),
    which=st.integers(0, 1 << 20),
    place=st.integers(0, 1 << 20),
    value=st.integers(1, 255),
    keyed=st.booleans(),
)
def test_any_tampering(
    other: ModuleType,
    log: Log,
    tmp_path_factory: pytest.TempPathFactory,
    how: Callable[[bytes, int, int], bytes],
    which: int,
    place: int,
    value: int,
    keyed: bool,
) -> None:
    path = files(log[0] / "audit")[which % len(files(log[0] / "audit"))]
    whole = path.read_bytes()
    changed = how(whole, place % len(whole), value)
    try:
        path.write_bytes(changed)
        status = agree(other, log[0] / "audit", log[1] if keyed else None)
    finally:
        path.write_bytes(whole)
    if keyed and path.suffix == ".log" and changed != whole:
        assert status != 0, "a signed record was changed unseen"
