"""What `verify` found, told to a person, and the key that it is held against."""

from pathlib import Path
from typing import TYPE_CHECKING

from firewall.cli.lines import printable
from firewall.cli.logs import fail
from firewall.places import authority_directory

if TYPE_CHECKING:
    from firewall.audit import Key, Report, Seen
    from firewall.audit.verify import ChainReport


def public_key(text: str | None) -> "Key | None":
    """The key asked for, or that of this machine, or none."""
    from firewall.audit import Key, keys

    given = text or keys.public_file(authority_directory())
    if given is None:
        return None
    path = Path(given)
    try:
        return Key.parse(path.read_text().strip() if "+" not in given else given)
    except (OSError, ValueError) as error:
        fail(f"--key: {error}; give NAME+ID+KEY or the file that holds it, such as audit-key.pub")


def seen(paths: list[Path]) -> "list[Seen]":
    """The checkpoints in files from elsewhere."""
    from firewall.audit import read_seen

    try:
        return [each for path in paths for each in read_seen(path)]
    except (OSError, ValueError) as error:
        fail(f"--checkpoint: {error}")


def told_checkpoints(report: "Report") -> str:
    """The line of a log's checkpoints."""
    found = report.checkpoints
    if found.status != "intact":
        holds = f"checkpoints 1 to {found.count} hold" if found.count else "no checkpoint holds"
        why = f"{found.status} at {printable(found.where)}: {printable(found.why)}"
        return f"checkpoints: {why}; {holds}"
    if not found.count:
        return "checkpoints: none, so a log cut at its end or written anew would look like this too"
    by = f"signed by {printable(found.key)}" if found.key else "signatures not checked: no --key"
    return f"checkpoints: intact, {found.count}, the last of {printable(found.newest)}, {by}"


def told(chain: "ChainReport") -> str:
    """The line of a chain."""
    name = printable(chain.chain)
    if chain.status != "intact":
        holds = f"records 1 to {chain.records} hold" if chain.records else "no record holds"
        return (
            f"{name}: {chain.status} at {printable(chain.where)}: {printable(chain.why)}; {holds}"
        )
    end = "" if chain.closed else " (not closed: still running, killed, or its end was cut off)"
    signed = f", signed to {chain.signed}" if chain.signed else ""
    return f"{name}: intact, {chain.records} records{signed}{end}"
