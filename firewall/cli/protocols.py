"""`firewall protocols`: say what bytes or captured flows speak, and why.

Exit status: 0 nothing was found, 1 mining or a tunnel was, 2 the file could not be read.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firewall.protocols.captures import Report
    from firewall.requests import FindingKind

app = typer.Typer(no_args_is_help=True, help="Recognise protocols in bytes and captures.")


@app.callback()
def protocols() -> None:
    """Recognise protocols in bytes and captures."""


@app.command()
def identify(
    file: Annotated[
        str, typer.Argument(help="A pcap or pcapng capture, a file of a stream's bytes, or -.")
    ],
    received: Annotated[
        bool, typer.Option(help="Take a stream's bytes for the server's, not the client's.")
    ] = False,
    all_flows: Annotated[
        bool, typer.Option("--all", help="Show flows in which nothing was found, too.")
    ] = False,
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="Whose lists of names to look in.")
    ] = "base",
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a flow.")] = False,
) -> None:
    """Say what is spoken in a file: dialect, what matched, where, and how sure that is."""
    from firewall.policy import PolicyError
    from firewall.protocols.captures import CaptureError

    try:
        reports = _read(file, received=received)
        look_up(reports, policy)
    except (OSError, CaptureError, PolicyError) as error:
        sys.stderr.write(f"{file}: {error}\n")
        raise typer.Exit(2) from None
    for report in reports:
        if report.findings or all_flows or report.client is None:
            sys.stdout.write(_line(report) if as_json else _told(report))
    found = any(each.confidence != "suspicious" for report in reports for each in report.findings)
    raise typer.Exit(int(found))


def _read(file: str, *, received: bool) -> "list[Report]":
    from firewall.protocols.captures import is_capture, report_capture, report_stream

    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    if is_capture(data):
        return report_capture(data)
    return [report_stream(b"", data) if received else report_stream(data)]


def look_up(reports: "list[Report]", policy: str) -> None:
    """Add a finding to each flow to a name that is on a list of the policy."""
    from firewall.policy import load_policy
    from firewall.policy.lists import Listed
    from firewall.requests import Finding

    listed = Listed(load_policy(policy).resolved.lists)
    for report in reports:
        for name, where in _names(report):
            if entry := listed.find(name):
                kind: FindingKind = "mining" if entry.guard == "mining" else "tunnel"
                evidence = f"{name} is on a list ({entry.where})"
                report.add((Finding(kind, "listed-name", evidence, where),))


def _names(report: "Report") -> "Iterator[tuple[str, str]]":
    """The names that a flow gives away, and where it does."""
    asked = (report.sni or report.host or "").rpartition("@")[2].partition(":")[0].lower()
    yield asked, "the name asked for"
    for name in report.certificate.names if report.certificate else ():
        yield name.removeprefix("*."), "TLS certificate of the server"


def _told(report: "Report") -> str:
    """A flow as people read it."""
    lines = [_head(report)]
    for each in report.findings:
        lines.append(f"  {each.kind} ({each.confidence}): {each.name}")
        lines.append(f"    {each.evidence}, in {each.where}")
    return "".join(f"{_printable(line)}\n" for line in lines)


def _head(report: "Report") -> str:
    words = [f"speaks {report.protocol}"]
    if report.client and report.server:
        ends = f"{_place(report.client)} -> {_place(report.server)}"
        words.insert(0, f"{report.transport} {ends}")
    if name := report.sni or report.host:
        words.append(f"for {name}")
    if report.ja4:
        words.append(f"(JA4 {report.ja4})")
    if (shown := report.certificate) and shown.self_signed:
        words.append(f"with a self-signed certificate ({shown.subject or 'no name'})")
    return " ".join(words)


def _place(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _printable(text: str) -> str:
    """What a peer wrote must not move the cursor here."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _line(report: "Report") -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(report)) + "\n"
