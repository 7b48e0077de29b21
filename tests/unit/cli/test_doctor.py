import os
import platform
import shutil
from pathlib import Path

import pytest
import typer

from firewall.cli import doctor
from firewall.cli.doctor import Finding
from firewall.sandbox import Sandbox, SandboxError


@pytest.mark.parametrize(
    ("release", "level"),
    [("6.8.0-45-generic", "ok"), ("5.12.0", "ok"), ("5.4.0-1-amd64", "fail"), ("4.18.0", "fail")],
)
def test_the_kernel_must_be_new_enough(
    monkeypatch: pytest.MonkeyPatch, release: str, level: str
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    found = doctor._kernel()
    assert found.level == level
    assert release in found.text


def test_a_processor_without_a_filter_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert doctor._processor() == Finding(
        "fail", "system call filter", "none for riscv64; use x86_64 or aarch64"
    )


def test_settings_that_refuse_are_told_with_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "refusals", lambda: ["one: do this", "two: do that"])
    found = doctor._namespaces()
    assert (found.level, found.text) == ("fail", "one: do this; two: do that")


def test_a_sandbox_that_cannot_be_made_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Sandbox:
        raise SandboxError("the sandbox could not make its namespaces: no")

    monkeypatch.setattr(Sandbox, "launch", refuse)
    found = doctor._sandbox()
    assert (found.level, found.text) == ("fail", "the sandbox could not make its namespaces: no")


@pytest.mark.parametrize(
    ("cores", "told"), [(1, "1: --workers would bring nothing"), (4, "--workers 4 uses all")]
)
def test_it_tells_whether_workers_would_help(
    monkeypatch: pytest.MonkeyPatch, cores: int, told: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    found = doctor._cores()
    assert (found.level, told in found.text) == ("ok", True)


@pytest.mark.parametrize(("version", "level"), [(0, "warn"), (5, "warn"), (6, "ok")])
def test_an_old_landlock_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, version: int, level: str
) -> None:
    monkeypatch.setattr(doctor, "landlock_version", lambda: version)
    assert doctor._landlock().level == level


def test_a_machine_without_bundles_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "bundles_found", lambda: ())
    found = doctor._bundles()
    assert found.level == "warn"
    assert "install your distribution's ca-certificates" in found.text


def test_a_state_directory_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "state_directory", lambda: tmp_path / "not" / "yet")
    assert doctor._state() == Finding("ok", "logs and keys", f"{tmp_path}/not/yet")
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = doctor._state()
    assert found.level == "fail"
    assert "set FIREWALL_STATE" in found.text


def test_a_client_that_is_missing_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor._client("git")().level == "warn"


@pytest.mark.parametrize(
    ("levels", "status"), [(("ok", "warn"), 0), (("ok", "fail", "ok"), 1), (("warn", "warn"), 0)]
)
def test_only_a_failure_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    levels: tuple[doctor.Level, ...],
    status: int,
) -> None:
    findings = [Finding(level, f"subject {place}", "text") for place, level in enumerate(levels)]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    with pytest.raises(typer.Exit) as raised:
        doctor.doctor()
    assert raised.value.exit_code == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(levels)


def test_every_check_answers_on_this_machine() -> None:
    found = list(doctor.examine())
    assert len(found) == len({each.subject for each in found}) == 14
    assert all(each.text for each in found)
