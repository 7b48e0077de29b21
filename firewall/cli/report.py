"""`firewall audit report`: what was blocked and what the GPUs did meanwhile, as one HTML file.

It needs nothing from elsewhere and no script.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firewall.cli import evidence
from firewall.cli.chart import samples
from firewall.cli.lines import part
from firewall.cli.logs import Log, fail, log_directory
from firewall.cli.markup import element
from firewall.cli.query import Terms, open_index

if TYPE_CHECKING:
    from firewall.audit import Report
    from firewall.audit.filter import Condition
    from firewall.audit.index import Index

type Record = Mapping[str, Any]


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
            alerted = _alerts(index, conditions, count)
            checked = verify(directory, public_key(key))
    except ValueError as error:
        fail(str(error))
    page = "".join(_page(directory, found, after, alerted, checked))
    try:
        _write(output, page)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    typer.echo(f"{output}: {len(found)} blocked attempts, log {checked.status}")


def _alerts(index: "Index", conditions: Sequence["Condition"], count: int) -> list[Record]:
    """The newest alerts about GPUs and what was done about them, in the time asked for."""
    from firewall.audit.filter import parse

    times = [each for each in conditions if each.field.kind == "time"]
    kinds = [[*parse([f"kind={kind}"]), *times] for kind in evidence.ALERT_KINDS]
    found: list[Record] = [each for terms in kinds for each in index.search(terms, limit=count)]
    return sorted(found, key=lambda each: str(each.get("time")))[-count:]


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
    directory: Path,
    records: Sequence[Record],
    after: Mapping[str, Record],
    alerted: Sequence[Record],
    checked: "Report",
) -> Iterator[str]:
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>Blocked attempts</title>'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<style>{evidence.style()}</style>"
    yield element("h1", "Blocked attempts").html()
    yield element(
        "p", f"{len(records)} attempts, from ", element("code", str(directory)), f", made {made}"
    ).html()
    yield evidence.verification(checked, made).html()
    numbered = list(enumerate(records, 1))
    marks = [at for each in numbered if (at := evidence.mark(*each)) is not None]
    yield evidence.charts(samples([*records, *after.values()]), marks).html()
    yield evidence.alerts(alerted).html()
    yield element("h2", "Attempts").html()
    for number, record in numbered:
        follow_up = after.get(str(part(record, "gpu").get("moment")))
        yield evidence.attempt(number, record, follow_up, unfolded=True).html()
    yield "</html>\n"
