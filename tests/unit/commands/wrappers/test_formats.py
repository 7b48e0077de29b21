"""Commands in files of other programs."""

import pytest

from firewall.commands.wrappers.formats import cmakelists, crontab, dockerfile, package
from firewall.commands.wrappers.inner import Run, Shell


def test_steps_of_an_image_are_read_over_lines_and_in_every_form() -> None:
    text = (
        'FROM a\nrun --mount=type=cache,target=/x a && \\\n # note\n b\nCMD ["c", "d"]\nCOPY e f\n'
    )
    found = dockerfile(text + "RUN <<E\ng\nh\nE\nHEALTHCHECK --interval=1s CMD i\n") or []
    assert [each.text for each in found if isinstance(each, Shell)] == ["a &&   b", "g\nh\n", "i"]
    assert [each.words for each in found if isinstance(each, Run)] == [["c", "d"]]


def test_a_document_may_be_the_input_of_a_step() -> None:
    (step,) = dockerfile("RUN python3 <<'E'\nimport a\nE\nEXPOSE 1") or []
    assert isinstance(step, Shell)
    assert step.text == "python3 <<'E'\nimport a\nE"


@pytest.mark.parametrize("line", ['SHELL ["/x"]', "# escape=`", "# syntax=evil/frontend"])
def test_an_image_that_changes_how_it_is_read_is_not_understood(line: str) -> None:
    assert dockerfile(f"{line}\nRUN a") is None


@pytest.mark.parametrize(
    ("line", "command"),
    [("*/5 1-3 * jan mon,fri a b", "a b"), ("@daily a", "a"), ("0 0 * * * a\\%b%in", "a\\%b")],
)
def test_jobs_stand_behind_their_time(line: str, command: str) -> None:
    found = crontab(f"# x\nA=b\n\n{line}\n") or []
    assert [each.text for each in found if isinstance(each, Shell)] == [command]
    assert crontab("a b") is None


def test_every_script_of_a_package_may_run() -> None:
    (script,) = package('{"scripts": {"a": "b c"}}') or []
    assert isinstance(script, Shell)
    assert script.text == "b c"
    assert package("all: x") is None


def test_compiling_alone_runs_nothing() -> None:
    text = "project(a C)\nset(CMAKE_C_STANDARD 11) # execute_process(\nadd_executable(a a.c)\n"
    assert cmakelists(text) == []


@pytest.mark.parametrize(
    "line",
    [
        "execute_process(COMMAND a)", "add_custom_target(a)", "include(a)",
        "set(CMAKE_C_COMPILER a)",
        "target_compile_options(a PRIVATE -fplugin=b)", "add_subdirectory(a)", "unknown (a)",
        "set(X [[#]]) execute_process()",
    ],
)  # fmt: skip
def test_what_else_cmake_is_told_is_not_understood(line: str) -> None:
    assert cmakelists(f"project(a)\n{line}\n") is None
