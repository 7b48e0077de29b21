"""`firewall audit query` and `firewall audit stats`: find records, count them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firewall.cli.logs import Log, fail, log_directory, readable

if TYPE_CHECKING:
    from firewall.audit.index import Index

Terms = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TERM]...",
        help="Such as verdict=deny rule=guards.* since=2h program=*python* port>=1024.",
    ),
]

_STATS = {
    "verdict": "verdict",
    "rule": "rule",
    "program": "program",
    "host": "host",
    "sandbox": "sandbox",
}


def query(
    terms: Terms = None,
    log: Log = None,
    *,
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="Records at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="The records as they are.")] = False,
    sql: Annotated[str | None, typer.Option(help="A query over the table records.")] = None,
) -> None:
    """Find the newest records that match all terms, oldest of them first."""
    from firewall.audit.filter import parse

    try:
        conditions = parse(terms or [])
        with open_index(log_directory(log)) as index:
            if sql is not None:
                _print_table(*index.sql(sql))
                return
            found = list(index.search(conditions, limit=count))
    except ValueError as error:
        fail(str(error))
    for record in reversed(found):
        _print(record, as_json=as_json)


def stats(terms: Terms = None, log: Log = None) -> None:
    """Count the matching records by verdict, rule, program, host and sandbox."""
    from firewall.audit.filter import parse

    try:
        conditions = parse([*(terms or []), "kind=verdict"])
        with open_index(log_directory(log)) as index:
            for title, column in _STATS.items():
                _print_counts(title, index.count(column, conditions))
    except ValueError as error:
        fail(str(error))


@contextmanager
def open_index(directory: Path) -> "Iterator[Index]":
    """The log's index, up to date."""
    import sqlite3

    from firewall.audit.index import FILE, Index

    with readable(directory), TemporaryDirectory() as elsewhere:
        if not directory.is_dir():
            raise FileNotFoundError(f"{directory}: there is no audit log here")
        path = (directory if os.access(directory, os.W_OK) else Path(elsewhere)) / FILE
        index = Index(directory, path)
        try:
            index.update()
            yield index
        except sqlite3.DatabaseError as error:
            fail(f"{path}: {error}; delete it, and it is made anew from the log")
        finally:
            index.close()


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from firewall.cli.lines import line

    typer.echo(json.dumps(record, separators=(",", ":")) if as_json else str(line(record)))


def _print_table(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    from firewall.cli.lines import printable

    for row in [tuple(columns), *rows]:
        typer.echo("\t".join("" if each is None else printable(each) for each in row))


def _print_counts(title: str, counts: list[tuple[Any, int]]) -> None:
    from firewall.cli.lines import printable

    typer.echo(title)
    for value, number in counts:
        typer.echo(f"  {number:>9}  {printable(value)}")
