"""`firewall audit ship` and `firewall audit ingest`: logs leave, logs arrive."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firewall.cli.logs import Log, fail, log_directory, readable
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

if TYPE_CHECKING:
    from firewall.audit import AuditLog, Key
    from firewall.audit.ingest import Alarm

EXITS = {"SHIPPED": 0, "DAMAGED": 1, "UNREACHED": 3, "INCOMPLETE": 4}
"""What `ship` ends with; 2 is a log or an option that cannot be used."""
ALARMED = 1


def ship(
    to: Annotated[
        str,
        typer.Option(
            help="Where to: nats://, nats+tls://, syslog+tls://, otlp+http(s)://, http(s)://, or -"
        ),
    ],
    log: Log = None,
    *,
    form: Annotated[
        Literal["native", "ocsf"],
        typer.Option("--format", help="Records as they are, or as OCSF 1.8 events."),
    ] = "native",
    name: Annotated[
        str | None, typer.Option(help="The exporter's name (default: from --to and --format).")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="This firewall among many (default: the host's name).")
    ] = None,
    ca: Ca = None,
    certificate: Certificate = None,
    credentials: Credentials = None,
    metrics: Metrics = None,
    once: Once = False,
) -> None:
    """Copy the log to elsewhere as it grows, each record at least once and in order.

    Exit status: 0 shipped, 1 a chain does not hold, 2 unusable log or option, 3 not all was
    taken, 4 records were removed before they were shipped, or refused for good.
    """
    from firewall.audit import AuditError
    from firewall.audit.cursor import Cursor
    from firewall.audit.ship import Settings, Shipper, open_sink
    from firewall.audit.ship.metrics import ShipMetrics

    directory = log_directory(log)
    settings = Settings(source or host_name(), form == "ocsf", ca, certificate, credentials)
    exporter = name or _name(to, form)
    stop = stopping()
    try:
        sink = open_sink(to, settings)
        with readable(directory):
            _must_be_a_log(directory)
            cursor = Cursor(directory, exporter)
        shipper = Shipper(directory, cursor, sink, stop)
        serve_collector(metrics, ShipMetrics(exporter, lambda: shipper.progress))
    except (AuditError, OSError, ValueError) as error:
        fail(str(error))
    with readable(directory):
        outcome = shipper.run(once=once)
    sink.close()
    cursor.close()
    if once:
        typer.echo(f"{shipper.progress.records} records: {outcome.value}", err=True)
        raise typer.Exit(EXITS[outcome.name])


def ingest(
    stream: Annotated[
        str,
        typer.Option(
            "--from",
            help="The stream's server: nats:// or nats+tls://HOST:PORT.",
            callback=nats_server,
        ),
    ],
    into: Annotated[Path, typer.Option(help="The folder that gets a log for each firewall.")],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(help="A folder with each firewall's public key, as SOURCE.pub."),
    ] = None,
    silence: Annotated[
        float, typer.Option(min=1, help="Seconds after which a firewall counts as silent.")
    ] = 300,
    ca: Ca = None,
    certificate: Certificate = None,
    credentials: Credentials = None,
    metrics: Metrics = None,
    once: Once = False,
) -> None:
    """Take many firewalls' logs from a stream, verify every record and checkpoint, keep them.

    Exit status: 0 all well, 1 something was alarming, 2 unusable folder or option, 3 the stream
    cannot be reached.
    """
    from firewall.audit import AuditError, AuditLog
    from firewall.audit.ingest import ALARMS, Receiver
    from firewall.audit.ingest.metrics import IngestMetrics
    from firewall.audit.ship import Settings

    stop = stopping()
    try:
        pinned = pinned_keys(keys)
        alarms = AuditLog(into / ALARMS, "alarms")
        settings = Settings("ingest", False, ca, certificate, credentials)
        tell = partial(_tell_alarm, alarms)
        receiver = Receiver(into, pinned, tell, silence=silence, stop=stop)
        serve_collector(metrics, IngestMetrics(lambda: receiver.tally))
    except (AuditError, OSError, ValueError) as error:
        fail(str(error))
    reached = receiver.run(stream, settings, once=once)
    alarms.close()
    if once:
        alarming = bool(receiver.tally.alarms)
        raise typer.Exit(UNREACHED if not reached else ALARMED if alarming else 0)


def _tell_alarm(alarms: "AuditLog", alarm: "Alarm") -> None:
    """On a chain of its own, and on stderr for whoever looks there."""
    place = f"{alarm.source} {alarm.chain}:{alarm.seq}" if alarm.chain else alarm.source
    typer.echo(f"firewall: {alarm.kind}: {place}: {alarm.why}", err=True)
    where = {"source": alarm.source, "of_chain": alarm.chain, "of_seq": alarm.seq}
    alarms.append({"kind": f"ingest.{alarm.kind}", **where, "why": alarm.why})


def pinned_keys(folder: Path | None) -> "dict[str, Key]":
    """The keys in a folder by the names of their files. Raises ValueError where one is none."""
    from firewall.audit import Key

    found = {}
    for path in sorted(folder.glob("*.pub")) if folder else ():
        try:
            found[path.stem] = Key.parse(path.read_text().strip())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if folder is not None and not found:
        raise ValueError(f"--keys {folder}: there is no file SOURCE.pub in it")
    return found


def _must_be_a_log(directory: Path) -> None:
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: there is no audit log here")


def _name(url: str, form: str) -> str:
    """A name that stays the same for the same far end and format, without what may be secret."""
    place = re.sub(r"//[^/@]*@", "//", url)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{form}-{place}").strip("-")[:100]
