"""What the exec gate adds to the start of a program.

    uv run python -m tests.bench.exec_gate [PROGRAMS]

Starts `/bin/true` again and again by vfork in one process, in turns with and without a gate whose
judge allows everything and writes a durable log; prints medians of both and of their differences.
Then what each part of a verdict takes on the gate's thread in a loop of its own. In the turns above
each takes two to three times as long: the program that starts empties the processor's caches.
"""

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from firewall.audit.record import encode_event
from firewall.events import event_of
from firewall.policy import load_policy
from firewall.sandbox import procfs
from firewall.sandbox.execgate.calls import read_call
from firewall.sandbox.execgate.describe import Callers, Names, execute
from firewall.sandbox.execgate.files import Files
from firewall.sandbox.execgate.notify import Notice
from firewall.sandbox.execgate.verify import before

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


def parts(policy: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """The parts of one verdict, in their order; this process is the caller."""
    pid, files = os.getpid(), Files()
    path, argv = ctypes.c_char_p(b"/bin/true"), (ctypes.c_char_p * 2)(b"true", None)
    pointers = (ctypes.cast(path, ctypes.c_void_p).value or 0, ctypes.addressof(argv))
    notice = Notice(0, pid, False, (*pointers, 0, 0, 0, 0))
    callers, names, rules = Callers("bench", os.getppid(), 0), Names(files), load_policy(policy)
    call = read_call(notice)
    program = files.find(pid, call)
    actor, request = callers.actor(pid), execute(program, names)
    verdict = rules.decide(request, actor)
    yield "whose thread it is", lambda: procfs.leader(pid)
    yield "reading the call", lambda: read_call(notice)
    yield "finding the program", lambda: files.find(pid, call)
    yield "describing the caller", lambda: callers.actor(pid)
    yield "what it ran before", lambda: before(actor.process)
    yield "reading the command", lambda: execute(program, names)
    yield "the policy", lambda: rules.decide(request, actor)
    yield "the record", lambda: encode_event(event_of(request, verdict, actor, {}))


def microseconds(part: Callable[[], object], times: int = 1000) -> float:
    """The median of one part."""
    taken = []
    for _ in range(times):
        began = time.perf_counter_ns()
        part()
        taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)


def main() -> None:
    count = sys.argv[1] if len(sys.argv) > 1 else "500"
    loop = [PYTHON, "-c", LOOP, count]
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"
        policy.write_text(POLICY)
        environment = {**os.environ, "FIREWALL_STATE": f"{folder}/state", "PYTHONPATH": os.getcwd()}
        inside = [*FIREWALL, "run", "--policy", str(policy), "--", *loop]
        pairs = [(starts(loop, environment), starts(inside, environment)) for _ in range(ROUNDS)]
        alone = [(name, microseconds(part)) for name, part in parts(policy)]
    for number, (without, gated) in enumerate(pairs, 1):
        print(f"round {number}: {_told('without', without)}, {_told('with', gated)}")
    added = [statistics.median(gated) - statistics.median(without) for without, gated in pairs]
    print(f"added at the median: {statistics.median(added):.0f} us")
    for name, taken in alone:
        print(f"  {name}: {taken:.0f} us")
    print(f"  in all: {sum(taken for _, taken in alone):.0f} us")


def _told(name: str, times: list[float]) -> str:
    ninety_nine = sorted(times)[len(times) * 99 // 100]
    return f"{name} p50 {statistics.median(times):.0f} us, p99 {ninety_nine:.0f} us"


if __name__ == "__main__":
    main()
