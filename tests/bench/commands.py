"""How much of what commands hide is found, and what reading costs.

    uv run python -m tests.bench.commands FOLDER

FOLDER holds shell_bypasses.jsonl and benign_commands.jsonl (one JSON object a line with "command",
and in the first "category" and "expect_inner"). Prints one table; `SECTIONS` lists what fills it.
"""

import json
import os
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from firewall.commands import Reading, read_shell

type Row = tuple[str, str, str]
"""What was measured, on how many, and the result."""


_DOCUMENT = re.compile(r"<<-? ?['\"]?(?:EOF|PY)")


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _programs(reading: Reading) -> set[str]:
    names = [command.words[0] or "" for command in reading.commands if command.words]
    return {name.rpartition("/")[2] for name in names}


def bypasses(folder: Path) -> Iterator[Row]:
    """Inner commands found or called opaque, by category."""
    cases: dict[str, list[bool]] = defaultdict(list)
    for row in rows_of(folder, "shell_bypasses"):
        reading = read_shell(row["command"])
        want = row["expect_inner"]
        if want is not None:
            cases[row["category"]].append(set(want) <= _programs(reading) or bool(reading.opaque))
    for category, found in sorted(cases.items()):
        yield (
            f"bypass {category}: found or opaque",
            str(len(found)),
            f"{statistics.mean(found):.1%}",
        )


def benign(folder: Path) -> Iterator[Row]:
    """Opaque share of harmless commands, and the best of three times that reading one takes."""
    texts = [row["command"] for row in rows_of(folder, "benign_commands")]
    if not texts:
        return
    opaque = statistics.mean(bool(read_shell(text).opaque) for text in texts)
    took = sorted(min(_microseconds(text) for _ in range(3)) for text in texts)
    yield "benign: opaque", str(len(texts)), f"{opaque:.2%}"
    yield "benign: p50", str(len(texts)), f"{took[len(took) // 2]:.0f} us"
    yield "benign: p99", str(len(texts)), f"{took[len(took) * 99 // 100]:.0f} us"


def typical_texts() -> list[str]:
    """Lines as they stand in READMEs, CI files and transcripts of agents; "\\\\n" ends a line."""
    lines = Path(__file__).with_name("typical.txt").read_text().splitlines()
    return [
        re.sub(r"(?<!\\)\\n", "\n", line).replace("\\t", "\t") if _DOCUMENT.search(line) else line
        for line in lines
    ]


def typical(_: Path) -> Iterator[Row]:
    """Opaque share of what people and agents write, which downloads and runs more than examples."""
    texts = typical_texts()
    opaque = statistics.mean(bool(read_shell(text).opaque) for text in texts)
    yield "typical: opaque", str(len(texts)), f"{opaque:.2%}"


def _microseconds(text: str) -> float:
    began = time.perf_counter()
    read_shell(text)
    return (time.perf_counter() - began) * 1e6


def ssh_spellings(folder: Path) -> Iterator[Row]:
    """Remote forwards that `ssh -G` names: named as an intent too; and look-alikes that are not."""
    wanted, named, silent = 0, 0, []
    for row in rows_of(folder, "ssh_spellings"):
        reading = read_shell(row["command"])
        intents = [each.name for command in reading.commands for each in command.intents]
        if (row.get("ssh_G") or {}).get("remoteforward"):
            wanted += 1
            named += "ssh.forward-remote" in intents
        if row["category"] == "benign_no_forward":
            silent.append(not any(each.startswith("ssh.forward") for each in intents))
    if wanted:
        yield "ssh -G remote forwards: named", str(wanted), f"{named / wanted:.1%}"
        yield "ssh look-alikes: silent", str(len(silent)), f"{statistics.mean(silent):.1%}"


def mining(folder: Path) -> Iterator[Row]:
    """Miners' own command lines, and findings in harmless commands."""
    miners = [row["command"] for row in rows_of(folder, "mining_commands")]
    if miners:
        share = statistics.mean(_mines(each) for each in miners)
        yield "mining: found", str(len(miners)), f"{share:.1%}"
    harmless = [row["command"] for row in rows_of(folder, "benign_commands")]
    if harmless:
        false = sum(map(_mines, harmless))
        yield (
            "mining in harmless commands, per 1,000",
            str(len(harmless)),
            (f"{false / len(harmless) * 1000:.2f}"),
        )


def _mines(text: str) -> bool:
    return any(each.kind == "mining" for each in read_shell(text).findings)


SECTIONS: tuple[Callable[[Path], Iterator[Row]], ...] = (
    bypasses,
    benign,
    typical,
    ssh_spellings,
    mining,
)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["FIREWALL_CORPORA"])
    for section in SECTIONS:
        for what, count, result in section(folder):
            print(f"{what:<45}{count:>6}{result:>12}")


if __name__ == "__main__":
    main()
