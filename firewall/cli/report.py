"""`firewall audit report`: what was blocked and what the GPUs did meanwhile, as one HTML file.

It needs nothing from elsewhere and no script; every word that an agent may have written is escaped.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firewall.cli.lines import part
from firewall.cli.logs import Log, fail, log_directory
from firewall.cli.query import Terms, open_index

if TYPE_CHECKING:
    from firewall.audit import Report

type Record = Mapping[str, Any]

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1a1a1a; --paper: #fff; --line: #bbb;
  --bad: #b00020; --good: #1b5e20; --use: #1565c0; --power: #b26a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e6e6; --paper: #16181b; --line: #555;
    --bad: #ff6b7d; --good: #81c784; --use: #6fb1ff; --power: #ffb74d;
  }
}
@media print {
  :root {
    --ink: #000; --paper: #fff; --line: #bbb;
    --bad: #b00020; --good: #1b5e20; --use: #1565c0; --power: #b26a00;
  }
  article { break-inside: avoid }
}
body {
  font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 2em auto; padding: 0 1em;
}
figure { margin: 1em 0 }
svg { width: 100%; height: auto }
svg text { font-size: 12px; fill: var(--ink) }
svg path { fill: none; stroke: var(--line) }
svg .use { stroke: var(--use); stroke-width: 2 }
svg .power { stroke: var(--power); stroke-dasharray: 5 3 }
svg path.mark { stroke: var(--bad) }
svg text.mark { fill: var(--bad); font-weight: bold }
article { border-top: 1px solid var(--line); padding: .6em 0 }
h3 { color: var(--bad); margin: .2em 0; overflow-wrap: anywhere }
dt { font-weight: bold }
dd { margin: 0 0 .4em 1em }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.good { color: var(--good) }
.bad { color: var(--bad) }
"""


def report(
    terms: Terms = None,
    log: Log = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path(
        "firewall-report.html"
    ),
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="Attempts at most.")] = 200,
    key: Annotated[str | None, typer.Option(help="The public key, as for verify.")] = None,
) -> None:
    """Write what was blocked, and what the GPUs did meanwhile, as one HTML file."""
    from firewall.audit import verify
    from firewall.audit.filter import parse
    from firewall.cli.verification import public_key

    directory = log_directory(log)
    try:
        conditions = parse(["verdict=deny", *(terms or [])])
        with open_index(directory) as index:
            found = list(index.search(conditions, limit=count))[::-1]
            after = _after(index.search(parse(["kind=gpu-after"])), found)
            checked = verify(directory, public_key(key))
    except ValueError as error:
        fail(str(error))
    page = "".join(_page(directory, found, after, checked))
    try:
        _write(output, page)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    typer.echo(f"{output}: {len(found)} blocked attempts, log {checked.status}")


def _write(path: Path, page: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(page)


def _after(follow_ups: Iterable[Record], records: Sequence[Record]) -> Mapping[str, Record]:
    """What followed the records' moments, by moment."""
    from firewall.cli.gpu_story import moments

    wanted = {str(part(each, "gpu").get("moment")) for each in records}
    return {moment: each for each in follow_ups for moment in moments(each) if moment in wanted}


def _page(
    directory: Path, records: Sequence[Record], after: Mapping[str, Record], checked: "Report"
) -> Iterator[str]:
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>Blocked attempts</title>'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<style>{_STYLE}</style><h1>Blocked attempts</h1>"
    yield f"<p>{len(records)} attempts, from <code>{_word(directory)}</code>, made {made}</p>"
    yield from _verification(checked)
    yield "<h2>GPUs</h2>"
    yield from _charts(records, list(after.values()))
    yield "<h2>Attempts</h2>"
    for number, record in enumerate(records, 1):
        moment = str(part(record, "gpu").get("moment"))
        yield from _attempt(number, record, after.get(moment))
    yield "</html>\n"


def _verification(checked: "Report") -> Iterator[str]:
    from firewall.cli.verification import told, told_checkpoints

    standing = "good" if checked.status == "intact" else "bad"
    yield f'<h2>The log is <span class="{standing}">{_word(checked.status)}</span></h2><ul>'
    for words in [*map(told, checked.chains), told_checkpoints(checked)]:
        yield f"<li>{_word(words)}</li>"
    yield "</ul>"


def _charts(records: Sequence[Record], after: Sequence[Record]) -> Iterator[str]:
    from firewall.cli.chart import Mark, chart, moment, samples
    from firewall.cli.lines import line

    marks = [
        Mark(at, number, str(line(record)))
        for number, record in enumerate(records, 1)
        if (at := moment(record.get("time"))) is not None
    ]
    devices = samples([*records, *after])
    if not devices:
        yield "<p>No record tells what a GPU did.</p>"
    for index, found in devices.items():
        title = f"GPU {index}: utilisation (line) and power (dashes)"
        yield f"<figure><figcaption>{title}</figcaption>{chart(title, found, marks)}</figure>"


def _attempt(number: int, record: Record, after: Record | None) -> Iterator[str]:
    from firewall.cli.lines import line
    from firewall.cli.story import chapters

    words = line(record)
    yield f'<article id="attempt-{number}">'
    yield f"<h3>{number}. {_word(words.rule)}: {_word(words.what)}</h3>"
    yield f"<p>{_word(record.get('time'))}, record {_word(record.get('chain'))}:"
    yield f"{_word(record.get('seq'))}</p><dl>"
    for title, lines in chapters(record, after).items():
        yield f"<dt>{_word(title)}</dt><dd><pre>{_word(chr(10).join(lines), lines=True)}</pre></dd>"
    yield "</dl></article>"


def _word(value: Any, *, lines: bool = False) -> str:
    from firewall.cli.lines import printable

    parts = str(value).split("\n") if lines else [str(value)]
    return "\n".join(escape(printable(part, 2_000)) for part in parts)
