"""`gpu:` becomes workloads that processes are compared with, and rules with all their values."""

from dataclasses import replace
from pathlib import Path

import pytest

from firewall.policy import Policy, load_policy
from firewall.verdict import Severity
from firewall.workloads import DEFAULTS, Band, GpuRule, Use

TRAINER = """
version: 1
name: training
extends: [base]
gpu:
  expect:
    - name: trainer
      program: "*/python*"
      arguments: "*train.py*"
      user: 0
      devices: [0, "GPU-7*"]
      utilisation: 40-100%
      memory: 8-70GB
      power: 150.5-700W
      hours: "22:00-06:00"
  alert:
    unexpected-process: {utilisation: 10%, respond: freeze}
"""

USE = Use(
    program="/usr/bin/python3.12",
    arguments="/src/train.py --epochs 3",
    container="",
    sandbox="",
    uid=0,
    devices=("0", "GPU-1"),
    minute=23 * 60,
)


def _policy(tmp_path: Path, text: str = TRAINER) -> Policy:
    path = tmp_path / "training.yaml"
    path.write_text(text)
    return load_policy(path)


def _rule(policy: Policy, name: str) -> GpuRule:
    return next(each for each in policy.gpu.rules if each.name == name)


def test_a_workload_has_its_bands_in_per_cent_bytes_and_watts(tmp_path: Path) -> None:
    (workload,) = _policy(tmp_path).gpu.workloads
    assert workload.utilisation == Band(40, 100)
    assert workload.memory == Band(8e9, 70e9)
    assert workload.power == Band(150.5, 700)
    assert workload.hours == (22 * 60, 6 * 60)
    assert workload.source == "training.yaml:7"


@pytest.mark.parametrize(
    ("change", "misfits"),
    [
        ({}, ()),
        ({"devices": ("3", "GPU-77")}, ()),
        ({"minute": 6 * 60 - 1}, ()),
        ({"program": "/usr/bin/perl"}, ("program",)),
        ({"arguments": "miner.py"}, ("arguments",)),
        ({"uid": 1000}, ("user",)),
        ({"devices": ("1", "GPU-1")}, ("devices",)),
        ({"minute": 6 * 60}, ("hours",)),
        ({"program": None, "uid": None}, ("program", "user")),
    ],
)
def test_a_use_that_is_not_the_workload_is_told_by_its_keys(
    tmp_path: Path, change: dict[str, object], misfits: tuple[str, ...]
) -> None:
    (workload,) = _policy(tmp_path).gpu.workloads
    assert workload.misfits(replace(USE, **change)) == misfits  # type: ignore[arg-type]


def test_what_is_not_known_may_be_the_workload(tmp_path: Path) -> None:
    (workload,) = _policy(tmp_path).gpu.workloads
    assert workload.may_be(Use(devices=("0",), minute=0))
    assert not workload.may_be(Use(devices=("0",), minute=0, program="/bin/perl"))


@pytest.mark.parametrize(
    ("sandbox", "asked", "fits"),
    [("none", "", True), ("none", "run-1", False), ("run-*", "run-1", True), ("run-*", "", False)],
)
def test_a_sandbox_may_be_any_of_some_or_none(
    tmp_path: Path, sandbox: str, asked: str, fits: bool
) -> None:
    text = f"version: 1\nname: a\ngpu: {{expect: [{{name: a, sandbox: {sandbox}}}]}}\n"
    (workload,) = _policy(tmp_path, text).gpu.workloads
    assert workload.misfits(Use(sandbox=asked)) == (() if fits else ("sandbox",))


def test_a_program_without_a_slash_is_a_base_name(tmp_path: Path) -> None:
    text = 'version: 1\nname: a\ngpu: {expect: [{name: a, program: "python3*"}]}\n'
    (workload,) = _policy(tmp_path, text).gpu.workloads
    assert workload.misfits(Use(program="/opt/venv/bin/python3.12")) == ()


def test_what_is_not_written_keeps_its_default_and_what_stops_stays_a_dry_run(
    tmp_path: Path,
) -> None:
    policy = _policy(tmp_path)
    rule = _rule(policy, "unexpected-process")
    assert (rule.utilisation, rule.lasting, rule.respond, rule.dry_run) == (10, 10, "freeze", True)
    assert rule.source == "training.yaml:17"
    assert _rule(policy, "busy-with-denied-egress").severity is Severity.CRITICAL


def test_base_writes_the_defaults() -> None:
    assert tuple(replace(each, source="") for each in load_policy("base").gpu.rules) == DEFAULTS


def test_the_last_file_that_writes_a_key_decides_it(tmp_path: Path) -> None:
    _policy(tmp_path)
    path = tmp_path / "child.yaml"
    path.write_text(
        "version: 1\nname: child\nextends: [training.yaml]\ngpu:\n"
        "  expect: [{name: notebook, user: 1000}]\n"
        "  alert: {unexpected-process: {for: 1m, dry-run: false}}\n"
    )
    policy = load_policy(path)
    assert [each.name for each in policy.gpu.workloads] == ["trainer", "notebook"]
    rule = _rule(policy, "unexpected-process")
    assert (rule.utilisation, rule.lasting, rule.respond, rule.dry_run) == (10, 60, "freeze", False)


def test_a_user_that_is_not_here_is_told(tmp_path: Path) -> None:
    text = "version: 1\nname: a\ngpu: {expect: [{name: a, user: no-such-user}]}\n"
    policy = _policy(tmp_path, text)
    assert any("there is no user no-such-user here" in note for note in policy.notes)
    assert policy.gpu.workloads[0].misfits(Use(uid=0)) == ("user",)


def test_it_travels_to_other_processes_and_is_part_of_the_digest(tmp_path: Path) -> None:
    policy = _policy(tmp_path)
    assert Policy.parse(policy.dump()).gpu == policy.gpu
    other = _policy(tmp_path, TRAINER.replace("10%", "11%"))
    assert other.digest != policy.digest
