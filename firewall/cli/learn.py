"""`firewall policy learn`: an allowlist for what an audit log shows, to be reviewed."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from firewall.cli.logs import Log, log_directory, readable
from firewall.cli.policies import labels_of
from firewall.cli.replay import AsJson


class Wider(StrEnum):
    """What may be generalised."""

    HOSTS = "hosts"
    PATHS = "paths"
    ARGUMENTS = "arguments"


class Part(StrEnum):
    """The parts of a policy that rules may be learned for."""

    NETWORK = "network"
    SHELL = "shell"
    TOOLS = "tools"


def learn(
    log: Log = None,
    *,
    denied: Annotated[
        bool, typer.Option("--denied", help="Learn what was denied, not what was observed.")
    ] = False,
    only: Annotated[
        list[Part] | None, typer.Option("--only", help="Learn rules of this part; may be repeated.")
    ] = None,
    wider: Annotated[
        list[Wider] | None,
        typer.Option(
            "--generalise",
            help="One wider rule for three or more hosts below one name, paths that differ in one"
            " segment, or arguments that differ in one word; may be repeated.",
        ),
    ] = None,
    unread: Annotated[
        bool,
        typer.Option(
            "--unread", help="Let TLS of which no request could be read pass unread (pinned keys)."
        ),
    ] = False,
    private: Annotated[
        bool,
        typer.Option("--private", help="Learn what leads to addresses that are not public, too."),
    ] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Learn rules that hold where this label does, as env=ci; may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the smallest policy that allows what passed though no rule names it."""
    from firewall.audit import describe, read
    from firewall.policy.learning import generalise, written
    from firewall.policy.learning import learn as learned

    directory, labels = log_directory(log), labels_of(label or ())
    with readable(directory):
        found = learned(read(directory), denied=denied, unread=unread, private=private)
    if only:
        found = found.only(each.value for each in only)
    found = generalise(found, [each.value for each in wider or ()])
    if as_json:
        skipped = [{"why": why, **describe(each)} for why, each in sorted(found.skipped.items())]
        typer.echo(json.dumps({"policy": written(found, labels), "skipped": skipped}))
        return
    typer.echo(written(found, labels), nl=False)
