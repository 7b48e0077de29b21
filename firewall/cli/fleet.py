"""`firewall fleet`: signed policies go out to many machines, and what is in force there is seen."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firewall.cli.logs import Log, fail, log_directory
from firewall.cli.policies import report as tell
from firewall.cli.remote import (
    UNREACHED,
    Ca,
    Certificate,
    Credentials,
    Metrics,
    Once,
    host_name,
    nats_server,
    serve_collector,
    stopping,
)
from firewall.cli.ship import pinned_keys
from firewall.places import authority_directory, control_directory

if TYPE_CHECKING:
    from firewall.policy.bundle import Trust

app = typer.Typer(no_args_is_help=True, help="One policy for many machines, over NATS JetStream.")

REFUSED = 1
TROUBLED = 1
CHAIN_LENGTH = 64
"""Characters of a chain's name."""

To = Annotated[
    str,
    typer.Option(help="The server: nats:// or nats+tls://HOST:PORT, ...", callback=nats_server),
]
Group = Annotated[str, typer.Option(help="The group of machines, as the bundle's audience.")]
KeyOption = Annotated[
    str,
    typer.Option(
        envvar="FIREWALL_POLICY_KEY", help="Who may sign: public keys, or files of them, by commas."
    ),
]


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A signed policy.")],
    to: To,
    group: Group,
    key: KeyOption,
    *,
    instead_of: Annotated[
        str, typer.Option(help="The name of another policy that it may replace.")
    ] = "",
    ca: Ca = None,
    certificate: Certificate = None,
    credentials: Credentials = None,
) -> None:
    """Offer a signed bundle to all machines of a group.

    Exit status: 0 published, 1 refused (unsigned, for another group, not newer, broken), 2 unusable
    option, 3 the server did not take it.
    """
    from firewall.audit.ship import NotTakenError, Settings
    from firewall.fleet.publishing import checked
    from firewall.fleet.publishing import publish as published
    from firewall.policy import PolicyError, sources

    sources.ask_nobody()
    try:
        trust = _trust(key, group)
        offer = checked(bundle, trust)
        settings = Settings("", False, ca, certificate, credentials)
        import asyncio  # 15 ms, with TLS

        new = asyncio.run(published(to, settings, offer, trust, instead_of))
    except PolicyError as error:
        tell(error)
        raise typer.Exit(REFUSED) from None
    except NotTakenError as error:
        typer.echo(f"firewall: not published: {error}", err=True)
        raise typer.Exit(UNREACHED) from None
    except (OSError, ValueError) as error:
        fail(f"firewall: {error}")
    done = "published" if new else "published already"
    typer.echo(f"{offer.contents.name}, version {offer.contents.version}: {done} for {group}")


@app.command()
def follow(
    to: To,
    group: Group,
    into: Annotated[Path, typer.Option(help="The bundle's file, which the gates' --policy names.")],
    key: KeyOption,
    log: Log = None,
    *,
    source: Annotated[
        str | None, typer.Option(help="This firewall among many (default: the host's name).")
    ] = None,
    socket: Annotated[
        str,
        typer.Option(envvar="FIREWALL_NODE", help="Where a node listens whose policies count too."),
    ] = "",
    ca: Ca = None,
    certificate: Certificate = None,
    credentials: Credentials = None,
    metrics: Metrics = None,
    once: Once = False,
) -> None:
    """Keep this machine's bundle the newest of its group, and report what is in force.

    Exit status: 0 the newest is here, 1 it was refused, 2 unusable log or option, 3 the server
    cannot be reached.
    """
    from firewall.audit import AuditError, AuditLog
    from firewall.audit.ship import Settings
    from firewall.fleet.bundlefile import BundleFile
    from firewall.fleet.follower import Follower
    from firewall.fleet.gates import in_force
    from firewall.fleet.metrics import FleetMetrics
    from firewall.fleet.reporter import Reporter
    from firewall.policy import PolicyError, sources

    sources.ask_nobody()
    stop = stopping()
    directory = log_directory(log)
    settings = Settings(source or host_name(), False, ca, certificate, credentials)

    try:
        file = BundleFile(into, _trust(key, group))
        _must_be_a_folder(file.path.parent)
        reporter = Reporter(settings.source, group, directory, authority_directory())
        records = AuditLog(directory, f"fleet-{group}"[:CHAIN_LENGTH])
        gates = partial(in_force, file.path, control_directory(), socket)
        follower = Follower(to, settings, group, file, gates, reporter.write, records.append)
        serve_collector(metrics, FleetMetrics(group, lambda: follower.state))
    except PolicyError as error:
        tell(error)
        raise typer.Exit(2) from None
    except (AuditError, OSError, ValueError) as error:
        fail(f"firewall: {error}")
    reached = follower.run(stop, once=once)
    records.close()
    if once:
        raise typer.Exit(REFUSED if follower.state.refused else 0 if reached else UNREACHED)


@app.command()
def status(
    to: To,
    *,
    key: Annotated[
        str,
        typer.Option(envvar="FIREWALL_POLICY_KEY", help="Who may sign policies, as for publish."),
    ] = "",
    keys: Annotated[
        Path | None,
        typer.Option(help="A folder with each machine's public key, as SOURCE.pub."),
    ] = None,
    ingested: Annotated[
        Path | None, typer.Option(help="Where audit ingest keeps the logs, to tell of gaps.")
    ] = None,
    silence: Annotated[
        float, typer.Option(min=1, help="Seconds after which a machine counts as silent.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
    ca: Ca = None,
    certificate: Certificate = None,
    credentials: Credentials = None,
) -> None:
    """Show all machines: the policy in force, how late it is, records that have not arrived.

    Exit status: 0 all well, 1 something is not, 2 unusable folder or option, 3 the server cannot be
    reached.
    """
    from firewall.audit.ship import NotTakenError, Settings
    from firewall.cli.fleetstatus import members, table
    from firewall.fleet.census import census
    from firewall.fleet.overview import Asked
    from firewall.fleet.records import of_folder
    from firewall.policy import PolicyError
    from firewall.policy.bundle import KEY_VARIABLE, Trust

    settings = Settings("", False, ca, certificate, credentials)
    try:
        pinned = pinned_keys(keys) if keys else None
        trust = Trust.required({KEY_VARIABLE: key})
        asked = Asked(datetime.now(UTC), trust, pinned, timedelta(seconds=silence))
        tells = of_folder(ingested, asked.now) if ingested else None
        import asyncio  # 15 ms, with TLS

        offers, nodes = asyncio.run(census(to, settings, asked, tells))
    except NotTakenError as error:
        typer.echo(f"firewall: {error}", err=True)
        raise typer.Exit(UNREACHED) from None
    except (PolicyError, OSError, ValueError) as error:
        fail(f"firewall: {error}")
    typer.echo(members(offers, nodes) if as_json else "\n".join(table(offers, nodes, asked.now)))
    wrong = any(each.trouble for each in offers) or any(each.troubles for each in nodes)
    raise typer.Exit(TROUBLED if wrong else 0)


def _trust(key: str, name: str) -> "Trust":
    """Whose bundles are taken, for which group. Raises ValueError and PolicyError."""
    import os

    from firewall.policy.bundle import (
        AUDIENCE_VARIABLE,
        KEY_VARIABLE,
        VERSION_VARIABLE,
        Trust,
        group,
    )

    least = os.environ.get(VERSION_VARIABLE, "")
    asked = {KEY_VARIABLE: key, VERSION_VARIABLE: least, AUDIENCE_VARIABLE: group(name)}
    trust: Trust = Trust.required(asked)
    if not trust.keys:
        raise ValueError("--key names no key; write NAME+ID+KEY, or the file that holds it")
    return trust


def _must_be_a_folder(path: Path) -> None:
    if not path.is_dir():
        raise ValueError(f"--into: there is no folder {path}; make it first")
