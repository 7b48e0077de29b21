"""Every way to get a policy wrong, named by its fault, and what the person is told.

`bad/expected.txt` holds one line for each problem: "fault.yaml:line: what; write: instead".
"""

from pathlib import Path

import pytest

from firewall.policy import PolicyError, load_policy

BAD = Path(__file__).parent / "bad"
EXPECTED = (BAD / "expected.txt").read_text().splitlines()
FAULTS = sorted(path.name for path in BAD.glob("*.yaml"))


def test_every_expected_line_is_about_a_file() -> None:
    assert {line.partition(":")[0] for line in EXPECTED} == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_the_error_says_where_what_and_what_to_write(name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(BAD / name)
    told = [str(problem).replace(f"{BAD}/", "") for problem in caught.value.problems]
    assert told == [line for line in EXPECTED if line.startswith(f"{name}:")]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "three.yaml"
    path.write_text("version: 3\nname: Bad\nguards: {mining: blok}\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"version: 1\nname: \xff\n")
    with pytest.raises(PolicyError, match=r"binary.yaml:2: not UTF-8 text"):
        load_policy(tmp_path / "binary.yaml")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(PolicyError, match="no preset 'coding-agnt'; write: coding-agent"):
        load_policy("coding-agnt")
