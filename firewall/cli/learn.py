"""`firewall policy learn`: an allowlist for what an audit log shows, to be reviewed."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from firewall.cli.logs import Log, log_directory, readable
from firewall.cli.policies import problem
from firewall.cli.replay import AsJson


class Wider(StrEnum):
    """What may be generalised."""

    HOSTS = "hosts"
    PATHS = "paths"


def learn(
    log: Log = None,
    *,
    denied: Annotated[
        bool, typer.Option("--denied", help="Learn what was denied, not what was observed.")
    ] = False,
    wider: Annotated[
        list[Wider] | None,
        typer.Option(
            "--generalise",
            help="One wider rule for three or more hosts below one name, or paths that differ in"
            " one segment.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the smallest policy that allows the HTTP requests that mode: observe let pass."""
    from firewall.audit import describe, read
    from firewall.policy.generalise import generalise
    from firewall.policy.learn import learn as learned
    from firewall.policy.learn import written

    directory = log_directory(log)
    with readable(directory):
        found = learned(read(directory), denied=denied)
    found = generalise(found, [each.value for each in wider or ()])
    skipped = [{"why": why, **describe(each)} for why, each in sorted(found.skipped.items())]
    if as_json:
        typer.echo(json.dumps({"policy": written(found), "skipped": skipped}))
        return
    typer.echo(written(found), nl=False)
    for each in skipped:
        problem(f"not learned: {each['count']} (such as {each['example']}): {each['why']}")
