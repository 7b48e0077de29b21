"""Undeclared GPU use, by a scripted NVML: alerted, answered and recorded, in a sandbox and out."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.audit import verify
from firewall.cli.main import app
from firewall.sandbox.procfs import family, state
from tests.e2e.conftest import FIREWALL, Workplace
from tests.e2e.servers import free_port
from tests.nvml import Script, Stub, build
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: node
extends: [base]
gpu:
  expect: [{name: trainer, program: "*/python*", arguments: "*train.py*"}]
  alert:
    unexpected-process: {for: 1s, respond: {respond}}
"""
TREE = "import os, time\nos.fork()\ntime.sleep(600)"


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def miner() -> Iterator[int]:
    """A process that uses a GPU as far as the script says, with a child."""
    process = subprocess.Popen([sys.executable, "-c", TREE], start_new_session=True)
    try:
        eventually(lambda: len(family(process.pid)) == 1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@contextmanager
def _watch(workplace: Workplace, policy: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [*FIREWALL, "gpu", "watch", "--policy", str(policy), *more]
    process = subprocess.Popen(
        command, env=workplace.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def _sandbox(workplace: Workplace, *words: str) -> str:
    done = CliRunner().invoke(app, ["sandbox", *words], env=workplace.environment)
    assert done.exit_code == 0, done.output
    return done.output


def _kinds(workplace: Workplace) -> list[str]:
    return [each["kind"] for each in workplace.records() if each["kind"].startswith("gpu-")]


def test_a_training_node_is_watched_without_a_proxy(
    workplace: Workplace, stub: Stub, miner: int
) -> None:
    workplace.environment |= stub.environment
    stub.write(Script().device().process(miner).sample(miner, 97))
    policy = workplace.policy(POLICY, respond="freeze, dry-run: false")
    port = free_port()
    with _watch(workplace, policy, "--metrics", str(port)) as watch:
        assert _line(watch) == "firewall: policy node, 1 workloads declared\n"
        alert = _line(watch)
        assert re.match(r"firewall: gpu\.unexpected-process raised \(warning\): python", alert)
        assert f"[{miner}] uses GPU 0 at 97 %; it is no declared workload" in alert
        assert "its egress stays open: it runs in no sandbox" in _line(watch)
        assert [state(each)[0] for each in (miner, *family(miner))] == ["T", "T"]

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
        assert 'firewall_gpu_alerts_active{rule="gpu.unexpected-process",severity="warning"} 1' in (
            text
        )
        assert 'firewall_gpu_responses_total{outcome="done",respond="freeze"} 1' in text

        listed = _sandbox(workplace, "list")
        assert "frozen" in listed
        assert "2 processes are stopped" in listed
        name = re.search(r"watch-\S+", listed)
        assert name
        _sandbox(workplace, "release", name[0])
        eventually(lambda: [state(each)[0] for each in (miner, *family(miner))] == ["S", "S"])

        stub.write(Script().device(utilisation=0))
        assert "gpu.unexpected-process cleared" in _line(watch)
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(PATIENCE) == 0
    kinds = ["gpu-alert", "gpu-response", "gpu-response", "gpu-release", "gpu-alert"]
    assert _kinds(workplace) == kinds
    (done,) = (each for each in workplace.records() if each.get("stage") == "done")
    assert done["stopped"] == 2
    assert "its egress stays open" in done["trouble"]
    assert verify(workplace.log).status == "intact"


def test_undeclared_work_in_a_sandbox_closes_its_egress(workplace: Workplace, stub: Stub) -> None:
    workplace.environment |= stub.environment
    stub.write(Script().device(utilisation=0))
    policy = workplace.policy(POLICY, respond="quarantine")
    run = workplace.start(policy, "echo ready; read never", "ready")
    try:
        (agent,) = (each for each in family(run.pid) if _program(each) == "bash")
        stub.write(Script().device().process(agent).sample(agent, 97))
        eventually(lambda: "quarantine" in [each["kind"] for each in workplace.records()])
    finally:
        run.terminate()
        run.communicate(timeout=PATIENCE)
    records = {each["kind"]: each for each in workplace.records()}
    assert records["quarantine"]["rule"] == "gpu.unexpected-process"
    assert records["quarantine"]["trigger"]["reason"].startswith(f"bash[{agent}] uses GPU 0 at 97")
    assert records["gpu-alert"]["processes"][0]["argv"][:2] == ["bash", "-c"]
    assert records["gpu-response"]["stage"] == "done"


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
