"""How far the nodes' logs have come: by what a receiver keeps, or by what the stream has."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from firewall.audit import read
from firewall.audit.head import read_head
from firewall.audit.ingest import ALARMS
from firewall.audit.ingest.receiver import STREAM
from firewall.audit.segments import chains
from firewall.audit.ship.stream import SUBJECT
from firewall.fleet.overview import Told
from firewall.fleet.wire import last_messages

if TYPE_CHECKING:
    from nats.js import JetStreamContext

TOLD = frozenset({"gap", "fork", "broken", "unsigned"})
"""Alarms that tell of a log: silence passes, and unpinned is a setting of the receiver."""

AT_ONCE = 64
"""Messages that are asked for at once."""
ALARM_DAYS = 7
"""How long an alarm is told."""

_NUMBERED = re.compile(r":([0-9]{1,18})$")
"""The end of a record's identity, SOURCE:CHAIN:SEQ."""

type Tells = Callable[[str], Told]
"""What is known of a node's log, by the node's name."""


def of_folder(folder: Path, now: datetime) -> Tells:
    """What the receiver that keeps its logs in `folder` knows. It and what it returns raise
    OSError where they cannot be read."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no logs are kept here")
    found = _alarms(folder, now - timedelta(days=ALARM_DAYS))
    return lambda source: Told(_received(folder / source), found.get(source, {}))


async def of_stream(stream: "JetStreamContext") -> Tells:
    """What the stream of records has; it knows of no gaps."""
    found = await _streamed(stream)
    return lambda source: Told(None if found is None else found.get(source, {}))


def _received(log: Path) -> Mapping[str, int]:
    """The newest record of each chain of one node."""
    found = {each.name: read_head(each) for each in chains(log)} if log.is_dir() else {}
    return {chain: head.seq for chain, head in found.items() if head}


def _alarms(folder: Path, since: datetime) -> Mapping[str, Counter[str]]:
    """How many alarms of which kind were raised about each node since then."""
    found: dict[str, Counter[str]] = {}
    for record in read(folder / ALARMS) if (folder / ALARMS).is_dir() else ():
        kind = str(record.get("kind", "")).removeprefix("ingest.")
        if kind in TOLD and str(record.get("time", "")) >= f"{since:%Y-%m-%dT%H:%M:%S}":
            found.setdefault(str(record.get("source")), Counter())[kind] += 1
    return found


async def _streamed(stream: "JetStreamContext") -> Mapping[str, dict[str, int]] | None:
    """The newest record of each node's chains; None where there is no stream of records."""
    from nats.js.errors import NotFoundError

    try:
        await stream.stream_info(STREAM)
    except NotFoundError:
        return None
    arrived: dict[str, dict[str, int]] = {}
    async for key, last in last_messages(stream, STREAM, SUBJECT, 0, AT_ONCE):
        source, *chain = key
        found = _NUMBERED.search(last.headers.get("Nats-Msg-Id", ""))
        name = ".".join(chain).replace("%2E", ".")
        arrived.setdefault(source, {})[name] = int(found[1]) if found else 0
    return arrived
