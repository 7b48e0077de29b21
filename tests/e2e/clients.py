"""Many clients in one sandbox: named steps of shell, each with its own output and records."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Result, Workplace
from tests.e2e.servers import Certificates

SYSTEM_PYTHON = "/usr/bin/python3"
"""Which an agent of every user can run; the tests' own may lie in somebody's home."""

_EACH = """
for step in *.step; do
    name="${step%.step}"
    bash "$step" >"$name.out" 2>"$name.err" </dev/null
    echo $? >"$name.status"
done
"""


@dataclass(frozen=True)
class Step:
    """What one step printed, how it ended, and what was recorded of its processes."""

    status: int
    out: str
    err: str
    verdicts: list[dict[str, Any]]

    @property
    def blocked(self) -> list[dict[str, Any]]:
        return [each for each in self.verdicts if each["verdict"]["action"] == "deny"]

    def block(self, rule: str, program: str) -> dict[str, Any]:
        """The step's only block, which must be by this rule and tell who did it, and the GPUs."""
        assert [each["verdict"]["rule"] for each in self.blocked] == [rule], self
        (record,) = self.blocked
        check_evidence(record, program)
        return record

    def allowed(self, kind: str) -> list[dict[str, Any]]:
        return [
            each
            for each in self.verdicts
            if each["verdict"]["action"] == "allow" and each["request"]["type"] == kind
        ]


type Steps = Mapping[str, Step]


def check_evidence(record: dict[str, Any], program: str) -> None:
    """A blocked attempt's record says which program it was, whose child, and about the GPUs."""
    process = record["actor"]["process"]
    assert process is not None, record["actor"]
    assert Path(process["exe"]).name.startswith(program)
    assert process["argv"]
    assert process["pid"] > 1
    assert record["actor"]["ancestors"]
    gpu = record["gpu"]
    assert gpu["status"] == "ok" or (gpu["status"] == "unavailable" and gpu["reason"])


def take_steps(
    workplace: Workplace, policy: Path, scripts: Mapping[str, str], **more: Any
) -> Steps:
    """Run the scripts one after the other in one sandbox."""
    for name, script in scripts.items():
        (workplace.work / f"{name}.step").write_text(script)
    result = workplace.shell(policy, _EACH, **more)
    assert result.status == 0, result.err
    return {name: _step(workplace.work / name, result) for name in scripts}


def _step(path: Path, result: Result) -> Step:
    return Step(
        int(path.with_suffix(".status").read_text()),
        path.with_suffix(".out").read_text(errors="replace"),
        path.with_suffix(".err").read_text(errors="replace"),
        [each for each in result.verdicts if _is_of(each["actor"], f"{path.name}.step")],
    )


def _is_of(actor: Mapping[str, Any], script: str) -> bool:
    """Bash forks for each command of a script file, so the script is among the ancestors."""
    return any(["bash", script] == each["argv"] for each in _processes(actor))


def _processes(actor: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    own = actor["process"]
    return [*([own] if own else []), *actor["ancestors"]]


@contextmanager
def opened(certificates: Certificates) -> Iterator[Workplace]:
    """A workplace for as long as a module's tests need it."""
    with public_folder("fw-clients-") as folder:
        yield Workplace(folder, certificates)


@contextmanager
def public_folder(prefix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@cache
def has_python() -> bool:
    return shutil.which(SYSTEM_PYTHON) is not None


@cache
def pip_command() -> tuple[str, str | None] | None:
    """A pip, and as root the user who can reach it; None where there is none."""
    for python, user in ((SYSTEM_PYTHON, None), (shutil.which("python3") or "", "root")):
        asked = [python, "-m", "pip", "--version"]
        if (
            os.path.exists(python)
            and not subprocess.run(asked, capture_output=True, check=False).returncode
        ):
            return f"{python} -m pip", user
    return None
