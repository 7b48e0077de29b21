"""The stage of the demo: servers, policy, sandbox, and what is told when the curtain falls."""

import os
import shutil
import stat
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from firewall.audit import last
from firewall.cli.demo import agent
from firewall.cli.demo.servers import FileServer
from firewall.cli.plan import Options
from firewall.cli.run import run_agent
from firewall.places import state_directory

RECORDS = 100


def play() -> int:
    """Play the demo; returns its exit status."""
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="firewall-demo-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = FileServer(folder)
        try:
            status = _perform(folder, server)
        finally:
            server.close()
    if status == 0:
        _tell(began)
    return status


def _perform(folder: Path, server: FileServer) -> int:
    here = Path(__file__).parent
    policy = folder / "policy" / "demo.yaml"
    policy.parent.mkdir()
    policy.write_text((here / "policy.yaml").read_text().replace("PORT", str(server.port)))
    stage = folder / "stage"
    stage.mkdir()
    script = Path(shutil.copy(agent.__file__, stage / "agent.py"))
    script.chmod(0o644)
    interpreter, user = _interpreter()
    os.chdir(stage)
    print("An agent in a sandbox with no way out tries what the agent of the ROME incident did.")
    command = (interpreter, str(script), str(server.port))
    return run_agent(command, Options(str(policy), live=True), user, str(server.bundle))


def _interpreter() -> tuple[str, str | None]:
    """A Python for the agent, and as root the user to run it as.

    Root's agent becomes nobody, who may not be able to reach a Python below root's home.
    """
    candidates = [os.path.realpath(sys.executable), "/usr/bin/python3"]
    if os.geteuid() != 0:
        return sys.executable, None
    for candidate in candidates:
        if Path(candidate).exists() and _reachable(Path(candidate)):
            return candidate, None
    return candidates[0], "root"


def _reachable(path: Path) -> bool:
    """Whether everybody may run a program: every folder above it may be entered by others."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _tell(began: float) -> None:
    folder = state_directory() / "audit"
    records = [
        each
        for each in last(folder, RECORDS)
        if each.get("kind") == "verdict" and _epoch(each) >= began
    ]
    blocked = [each for each in records if each["verdict"]["action"] == "deny"]
    seconds = time.time() - began
    print(f"\n{len(records)} requests judged, {len(blocked)} blocked, in {seconds:.1f} s.")
    print(f"GPUs at those moments: {_gpu(blocked)}.")
    print(f"The records are in {folder}; look at them with: firewall audit tail")
    if blocked:
        critical = [each for each in blocked if each["verdict"]["severity"] == "critical"]
        chosen = (critical or blocked)[-1]
        print(f"One of them in full: firewall audit show --seq {chosen['chain']}:{chosen['seq']}")


def _gpu(blocked: list[dict[str, object]]) -> str:
    states = [each["gpu"] for each in blocked if isinstance(each.get("gpu"), dict)]
    if not states:
        return "no record"
    state = states[-1]
    assert isinstance(state, dict)
    if state["status"] != "ok":
        return f"{state['status']} ({state.get('reason', 'no reason given')})"
    return f"{len(state['devices'])} seen by NVML, each in its record"


def _epoch(record: dict[str, object]) -> float:
    return datetime.fromisoformat(str(record["time"])).timestamp()
