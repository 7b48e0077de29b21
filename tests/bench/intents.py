"""How well single commands are understood, and what it costs.

    uv run python -m tests.bench.intents --corpora FOLDER

FOLDER holds ssh_spellings.jsonl, mining_commands.jsonl and benign_commands.jsonl (one JSON object a
line with "command"). Shells given away are measured on the cases of the tests. Harmless commands
whose row is tagged "dual_use" are counted apart: a tunnel's own documentation is about tunnels.
"""

import argparse
import shlex
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from firewall.commands import read_shell
from firewall.commands.intents import facts_of
from tests.bench.commands import Row, rows_of
from tests.unit.commands.test_intents import SHELLS

FORWARDS = {
    "remote_forward": "ssh.forward-remote",
    "local_forward": "ssh.forward-local",
    "dynamic_forward": "ssh.forward-dynamic",
    "stdio_forward": "ssh.forward-stdio",
    "tun_device": "ssh.tunnel-device",
}
SAMPLE = 500
"""Commands that are timed."""


def recall(folder: Path) -> Iterator[Row]:
    found: dict[str, list[bool]] = defaultdict(list)
    for row in rows_of(folder, "ssh_spellings"):
        if name := FORWARDS.get(row["category"]):
            found[name].append(name in intents(row["command"]))
        if row["category"] == "benign_no_forward":
            told = intents(row["command"])
            found["ssh look-alikes: silent"].append(not any("forward" in each for each in told))
    for row in rows_of(folder, "mining_commands"):
        found["mining"].append("mining" in kinds(row["command"]))
    for line in SHELLS:
        found["reverse-shell"].append("reverse-shell" in intents(line))
    for name, hits in found.items():
        yield f"recall: {name}", str(len(hits)), f"{statistics.mean(hits):.1%}"


def false_positives(folder: Path) -> Iterator[Row]:
    rows = rows_of(folder, "benign_commands")
    for title, some in (
        ("harmless", [row for row in rows if not row.get("dual_use")]),
        ("dual use", [row for row in rows if row.get("dual_use")]),
    ):
        wrong = sum(bool(kinds(row["command"])) for row in some)
        rate = 1000 * wrong / len(some) if some else 0.0
        yield f"findings per 1,000: {title}", str(len(some)), f"{rate:.2f}"


def cost(folder: Path) -> Iterator[Row]:
    """Microseconds of reading a command's words that were not read before."""
    took = sorted(map(microseconds, commands(rows_of(folder, "benign_commands")[:SAMPLE])))
    if took:
        yield "facts_of: p50", str(len(took)), f"{took[len(took) // 2]:.0f} us"
        yield "facts_of: p99", str(len(took)), f"{took[len(took) * 99 // 100]:.0f} us"


def commands(rows: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        try:
            yield shlex.split(row["command"])
        except ValueError:
            continue


def microseconds(words: list[str]) -> float:
    """The best of five, each with another last word, so that nothing is remembered."""
    best = float("inf")
    for number in range(5):
        fresh = [*words, f"word-{number}"]
        began = time.perf_counter()
        facts_of(fresh)
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def intents(text: str) -> set[str]:
    return {each.name for command in read_shell(text).commands for each in command.intents}


def kinds(text: str) -> set[str]:
    return {each.kind for each in read_shell(text).findings}


def rows(folder: Path) -> list[Row]:
    return [*recall(folder), *false_positives(folder), *cost(folder)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpora", type=Path, required=True, help="folder of labelled commands")
    for what, count, result in rows(parser.parse_args().corpora):
        sys.stdout.write(f"{what:<45}{count:>6}{result:>12}\n")


if __name__ == "__main__":
    main()
