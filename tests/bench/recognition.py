"""How well and how fast mining and tunnels are recognised, on captures or vectors of your own.

    python -m tests.bench.recognition FOLDER_OR_JSONL... [--cost] [--shape]

A folder holds pcap or pcapng files and `labels.json`: {"file.pcap": LABEL, ...}, or
{"file.pcap": {"*": LABEL, "3333": LABEL}} with a label for a server's port. A LABEL is "mining",
"tunnel" or "benign", perhaps with a dialect behind a slash ("mining/stratum-v1"). Files without a
label are taken for benign. Of a file labelled mining or tunnel only flows whose client sent
something recognisable count where a port is named; without ports, the file counts as one flow.

A JSONL file has one flow a line: `label` (M, T or B), `dialect`, `client_b64`, `server_b64`.

Printed are the recall of each dialect, the false positives of each kind per benign flow with their
95 % bound (Wilson's; 3/n where there are none), and with --cost the nanoseconds a byte. What is
found, but only suspicious, is counted apart: it blocks nothing. Names on the lists that come along
count too, as they do in the firewall. With --shape the score of unread flows is tried on simulated
ones (tests/unit/protocols/flows.py).
"""

import argparse
import base64
import json
import mmap
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from firewall.cli.protocols import look_up
from firewall.protocols import Shape, Watch, identify
from firewall.protocols.captures import CaptureError, Report, report_capture, report_stream
from firewall.requests import FindingKind
from tests.unit.protocols import flows

KINDS = {"M": "mining", "T": "tunnel", "B": "benign"}
Z = 1.96
"""The normal distribution's 97.5 % point."""


@dataclass(frozen=True, slots=True)
class Case:
    """One flow: what it is, and what was found in it."""

    name: str
    kind: str
    dialect: str
    proven: frozenset[FindingKind]
    suspected: frozenset[FindingKind]


def case(name: str, label: str, reports: list[Report]) -> Case:
    kind, _, dialect = label.partition("/")
    findings = [each for report in reports for each in report.findings]
    proven = frozenset(each.kind for each in findings if each.confidence != "suspicious")
    suspected = frozenset(each.kind for each in findings) - proven
    return Case(name, kind, dialect or kind, proven, suspected)


def read_vectors(path: Path) -> Iterator[Case]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    reports = [report_stream(*sides(row)) for row in rows]
    look_up(reports, "base")
    for number, (row, report) in enumerate(zip(rows, reports, strict=True), 1):
        name = f"{path.name}:{number} {row.get('name', '')}"
        yield case(name, f"{KINDS[row['label']]}/{row['dialect']}", [report])


def sides(row: dict[str, str]) -> tuple[bytes, bytes]:
    sent, received = (base64.b64decode(row.get(key) or "") for key in ("client_b64", "server_b64"))
    return sent, received


def read_folder(folder: Path) -> Iterator[Case]:
    labels = json.loads((folder / "labels.json").read_text())
    for path in sorted(folder.iterdir()):
        if path.suffix in (".pcap", ".pcapng", ".cap") and path.stat().st_size:
            yield from read_capture(path, labels.get(path.name, "benign"))


def read_capture(path: Path, label: str | dict[str, str]) -> Iterator[Case]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            reports = report_capture(data)
        except CaptureError as error:
            sys.stderr.write(f"{path}: {error}\n")
            return
    look_up(reports, "base")
    if isinstance(label, str) and label.partition("/")[0] != "benign":
        yield case(path.name, label, reports)
        return
    ports = label if isinstance(label, dict) else {"*": label}
    for report in reports:
        port = str(report.server[1]) if report.server else ""
        named = ports.get(port) or ports.get("*", "benign")
        yield case(f"{path.name} {report.client} -> {report.server}", named, [report])


def bound(count: int, total: int) -> float:
    """The upper end of the 95 % interval of a rate: Wilson's, or the rule of three for none."""
    if not total or not count:
        return min(1.0, 3 / total) if total else 1.0
    rate, square = count / total, Z * Z
    middle = rate + square / (2 * total)
    spread = Z * sqrt(rate * (1 - rate) / total + square / (4 * total * total))
    return (middle + spread) / (1 + square / total)


def tell(cases: list[Case], *, verbose: bool) -> None:
    tell_recall([each for each in cases if each.kind != "benign"], verbose=verbose)
    tell_false_positives(cases, verbose=verbose)


def tell_recall(cases: list[Case], *, verbose: bool) -> None:
    table: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in cases:
        row = table[each.kind, each.dialect]
        row["all"] += 1
        row["proven"] += each.kind in each.proven
        row["suspected"] += each.kind not in each.proven and bool(each.suspected | each.proven)
        if verbose and each.kind not in each.proven:
            sys.stdout.write(f"missed: {each.name}\n")
    sys.stdout.write(f"{'recall':32}{'flows':>8}{'found':>8}{'suspected':>11}\n")
    for (kind, dialect), row in sorted(table.items()):
        name = f"{kind}/{dialect}"
        line = f"{name:32}{row['all']:8}{row['proven']:8}{row['suspected']:11}\n"
        sys.stdout.write(line)
    if table:
        rates = [row["proven"] / row["all"] for row in table.values()]
        sys.stdout.write(f"mean over {len(rates)} dialects: {sum(rates) / len(rates):.3f}\n")


def tell_false_positives(cases: list[Case], *, verbose: bool) -> None:
    benign = [each for each in cases if each.kind == "benign"]
    sys.stdout.write(f"\n{'false positives':32}{'flows':>8}{'found':>8}{'rate <':>12}\n")
    for kind in ("mining", "tunnel"):
        for what, pick in (("", proven), (" (suspicious)", suspected)):
            wrong = [each for each in benign if kind in pick(each)]
            limit = bound(len(wrong), len(benign))
            sys.stdout.write(f"{kind + what:32}{len(benign):8}{len(wrong):8}{limit:12.5f}\n")
            for each in wrong if verbose else ():
                sys.stdout.write(f"wrong: {each.name}\n")


def proven(each: Case) -> frozenset[FindingKind]:
    return each.proven


def suspected(each: Case) -> frozenset[FindingKind]:
    return each.suspected


SEGMENT = 1460
HTTP = b"GET /simple/a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: client/1.0\r\nAccept: */*\r\n\r\n"
LINE = b'{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.11.1"]}\n'
TEXT = b"All happy families are alike; each unhappy family is unhappy in its own way.\n" * 19
JSON = b'{"role": "user", "content": "tell me more", "at": 1700000000},' * 24

FIRST: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "identify HTTP": (identify, HTTP),
    "identify Stratum": (identify, LINE),
    "identify random bytes": (identify, os.urandom(SEGMENT)),
    "watch HTTP's first segment": (lambda data: Watch("tcp stream", "sent").feed(data), HTTP),
    "watch Stratum's first segment": (lambda data: Watch("tcp stream", "sent").feed(data), LINE),
}
LATER: dict[str, tuple[str, bytes, bytes]] = {
    "HTTP body, binary": ("http body", b"\x89PNG\r\n\x1a\n" + bytes(99), os.urandom(SEGMENT)),
    "HTTP body, text": ("http body", TEXT, TEXT[:SEGMENT]),
    "HTTP body, JSON beyond 64 KiB": ("http body", b'{"a":[' + JSON * 50, JSON[:SEGMENT]),
    "bare stream, binary": ("tcp stream", bytes(99), os.urandom(SEGMENT)),
    "bare stream, text": ("tcp stream", TEXT, TEXT[:SEGMENT]),
}


def tell_costs() -> None:
    sys.stdout.write(f"\n{'first segment':32}{'µs':>8}{'ns/byte':>10}\n")
    for name, (read, data) in FIRST.items():
        tell_cost(name, measure(lambda read=read, data=data: read(data)), len(data))  # type: ignore[misc]
    sys.stdout.write(f"\n{'each later segment of 1,460':32}{'µs':>8}{'ns/byte':>10}\n")
    for name, (carrier, head, data) in LATER.items():
        watch = Watch(carrier, "sent")
        watch.feed(head)
        watch.feed(data * 3)
        tell_cost(name, measure(lambda watch=watch, data=data: watch.feed(data), 20_000), SEGMENT)  # type: ignore[misc]
    tell_cost("HTTP body, JSON", measure(read_json, 100) / JSON_SEGMENTS, SEGMENT)


JSON_SEGMENTS = 40
"""As many as one JSON value may fill before it is passed over."""


def read_json() -> None:
    watch = Watch("http body", "sent")
    watch.feed(b'{"a":[')
    for _ in range(JSON_SEGMENTS):
        watch.feed(JSON[:SEGMENT])


SIMULATED = 200


def tell_shapes() -> None:
    """How many simulated flows grow suspicious, by what their ClientHello says."""
    hellos = {"named, ALPN": (True, True), "named": (True, False), "neither": (False, False)}
    sys.stdout.write(f"\n{'suspicious shapes of ' + str(SIMULATED):32}")
    sys.stdout.write("".join(f"{name:>14}" for name in hellos) + "\n")
    kinds = {"miner": flows.miner, **flows.BENIGN, "commanded sensor": flows.commanded_sensor}
    for name, kind in kinds.items():
        counts = (count_suspicious(kind, *hello) for hello in hellos.values())
        sys.stdout.write(f"{name:32}" + "".join(f"{count:14}" for count in counts) + "\n")


def count_suspicious(kind: flows.Kind, named: bool, protocols: bool) -> int:
    count = 0
    for seed in range(SIMULATED):
        shape = Shape(named=named, protocols=protocols)
        count += any(shape.feed(*move) for move in kind(random.Random(seed)))
    return count


def tell_cost(name: str, seconds: float, size: int) -> None:
    sys.stdout.write(f"{name:32}{seconds * 1e6:8.2f}{seconds * 1e9 / size:10.2f}\n")


def measure(run: Callable[[], Any], rounds: int = 5000) -> float:
    """Seconds a call takes: the best of five series, as others use the machine too."""
    series = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(rounds):
            run()
        series.append((time.perf_counter() - started) / rounds)
    return min(series)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="folders of captures, or JSONL files")
    parser.add_argument("--cost", action="store_true", help="measure nanoseconds a byte too")
    parser.add_argument("--shape", action="store_true", help="try the shape score on simulations")
    parser.add_argument("--verbose", action="store_true", help="name what is missed and wrong")
    asked = parser.parse_args()
    readers = (read_folder(path) if path.is_dir() else read_vectors(path) for path in asked.paths)
    if asked.paths:
        tell([each for reader in readers for each in reader], verbose=asked.verbose)
    if asked.cost:
        tell_costs()
    if asked.shape:
        tell_shapes()


if __name__ == "__main__":
    main()
