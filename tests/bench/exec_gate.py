"""What the exec gate adds to the start of a program.

    uv run python -m tests.bench.exec_gate [PROGRAMS]

Starts `/bin/true` again and again by vfork in one process, in turns with and without a gate whose
judge allows everything and writes a durable log; prints medians of both and of their differences.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FIREWALL = (sys.executable, "-m", "firewall.cli")
POLICY = "version: 1\nname: bench\nextends: [base]\n"
PYTHON = "/usr/bin/python3"
LOOP = """
import os, sys, time
times = []
for _ in range(int(sys.argv[1])):
    began = time.perf_counter_ns()
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    times.append(time.perf_counter_ns() - began)
print(*times)
"""
ROUNDS = 5


def starts(command: list[str], environment: dict[str, str]) -> list[float]:
    """Microseconds of each start."""
    done = subprocess.run(
        command, cwd="/tmp", env=environment, capture_output=True, text=True, check=True
    )
    return [int(each) / 1000 for each in done.stdout.split()]


def main() -> None:
    count = sys.argv[1] if len(sys.argv) > 1 else "500"
    loop = [PYTHON, "-c", LOOP, count]
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"
        policy.write_text(POLICY)
        environment = {**os.environ, "FIREWALL_STATE": f"{folder}/state", "PYTHONPATH": os.getcwd()}
        inside = [*FIREWALL, "run", "--policy", str(policy), "--", *loop]
        pairs = [(starts(loop, environment), starts(inside, environment)) for _ in range(ROUNDS)]
    for number, (without, gated) in enumerate(pairs, 1):
        print(f"round {number}: {_told('without', without)}, {_told('with', gated)}")
    added = [statistics.median(gated) - statistics.median(without) for without, gated in pairs]
    print(f"added at the median: {statistics.median(added):.0f} us")


def _told(name: str, times: list[float]) -> str:
    ninety_nine = sorted(times)[len(times) * 99 // 100]
    return f"{name} p50 {statistics.median(times):.0f} us, p99 {ninety_nine:.0f} us"


if __name__ == "__main__":
    main()
