"""The reading end of a fleet's stream: fetch, write down durably, acknowledge, look who is silent.

The stream is made where it is missing: kept on disk, and refusing what is new when it is full
instead of dropping what is old.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from firewall.audit.errors import AuditBusy
from firewall.audit.ingest.source import GAP_SECONDS, Alarm, Source
from firewall.audit.record import RECORD_LIMIT
from firewall.audit.ship.settings import Settings
from firewall.audit.ship.sink import NotTakenError
from firewall.audit.ship.stream import SUBJECT, connect, unpack
from firewall.audit.storage import Disk
from firewall.notes import Key

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

logger = logging.getLogger(__name__)

STREAM = "FIREWALL_AUDIT"
DURABLE = "ingest"
BATCH = 512
FETCH_SECONDS = 0.5
ACK_SECONDS = 10.0
"""After which the server sends again what was not acknowledged."""
RETRY_SECONDS = 1.0
DUPLICATE_SECONDS = 600.0
LINE_LIMIT = 2 * RECORD_LIMIT


@dataclass(slots=True)
class Tally:
    """What there is to tell. `seen` is when each source was heard last (epoch), `verified` the
    newest checkpoint of each whose signature was checked."""

    records: Counter[str] = field(default_factory=Counter)
    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: dict[str, float] = field(default_factory=dict)
    verified: dict[str, int] = field(default_factory=dict)
    held: int = 0


class Receiver:
    """Takes a stream's logs into `into`. Raises AuditBusy where another process does.

    `keys` are pinned by source; `silence` is after how many seconds a source counts as silent.
    """

    def __init__(
        self,
        into: Path,
        keys: Mapping[str, Key],
        alarm: Callable[[Alarm], None],
        *,
        silence: float,
        stop: threading.Event,
    ) -> None:
        self._into = into
        self._keys = keys
        self._told = alarm
        self._silence = silence
        self._stop = stop
        self._sources: dict[str, Source[Msg]] = {}
        self._silent: set[str] = set()
        self.tally = Tally()
        Disk().make_directory(into)
        try:
            self._lock = Disk().lock(into)
        except BlockingIOError:
            raise AuditBusy(f"{into}: another process takes logs into it") from None
        self._remember()

    def run(self, url: str, settings: Settings, *, once: bool) -> bool:
        """Receive until stopped, or until nothing is left; False where the server is gone."""
        try:
            return asyncio.run(self._run(url, settings, once=once))
        finally:
            for source in self._sources.values():
                source.flush()
                source.close()
            Disk().close(self._lock)

    async def _run(self, url: str, settings: Settings, *, once: bool) -> bool:
        from nats.errors import Error

        while not self._stop.is_set():
            try:
                client = await connect(url, settings)
                try:
                    await self._receive(client.jetstream(), once=once)
                finally:
                    await client.close()
                if once:
                    return True
            except (NotTakenError, Error, OSError) as error:
                why = str(error) or type(error).__name__
                logger.warning("the stream cannot be read: %s", why)
                if once:
                    return False
                await asyncio.sleep(RETRY_SECONDS)
                self._look_for_silence()
        return True

    async def _receive(self, stream: "JetStreamContext", *, once: bool) -> None:
        from nats.js.api import ConsumerConfig

        await _ensure(stream)
        limits = ConsumerConfig(ack_wait=ACK_SECONDS, max_ack_pending=8 * BATCH)
        consumer = await stream.pull_subscribe(f"{SUBJECT}.>", DURABLE, STREAM, limits)
        while not self._stop.is_set():
            try:
                messages = await consumer.fetch(BATCH, timeout=FETCH_SECONDS)
            except TimeoutError:
                messages = []
            settled = [each for message in messages for each in self._take(message)]
            await self._settle(settled)
            self._look_for_silence()
            if once and not messages:
                state = await consumer.consumer_info()
                if not state.num_pending and (state.num_ack_pending or 0) <= self.tally.held:
                    await self._settle(self._overdue(0.0))
                    return
            await self._settle(self._overdue(GAP_SECONDS))

    def _take(self, message: "Msg") -> "list[Msg]":
        """Hand a message to its source; the messages that are settled by it."""
        _, _, name, chain = message.subject.split(".", 3)
        line = unpack(message.data, message.headers, LINE_LIMIT)
        moment = message.metadata.timestamp.timestamp()
        self.tally.seen[name] = max(moment, self.tally.seen.get(name, 0.0))
        self.tally.records[name] += 1
        return self._source(name).take(chain.replace("%2E", "."), line, message)

    def _overdue(self, patience: float) -> "list[Msg]":
        return [each for one in self._sources.values() for each in one.overdue(patience)]

    async def _settle(self, messages: "list[Msg]") -> None:
        """Acknowledge what is on the disk, and only then."""
        for name in {message.subject.split(".")[2] for message in messages}:
            source = self._sources[name]
            source.flush()
            if source.verified:
                self.tally.verified[name] = source.verified
        for message in messages:
            await message.ack()
        self.tally.held = sum(source.held for source in self._sources.values())

    def _source(self, name: str) -> "Source[Msg]":
        if name not in self._sources:
            key = self._keys.get(name)
            self._sources[name] = Source(self._into / name, key, self._alarm)
            if key is None:
                why = "no key is pinned for it, so its checkpoints prove nothing"
                self._alarm(Alarm("unpinned", name, "", 0, why))
        return self._sources[name]

    def _alarm(self, alarm: Alarm) -> None:
        self.tally.alarms[alarm.source, alarm.kind] += 1
        self._told(alarm)

    def _look_for_silence(self) -> None:
        """A firewall signs a checkpoint every minute: one that is not heard is down or cut off."""
        for name, seen in self.tally.seen.items():
            if time.time() - seen <= self._silence:
                self._silent.discard(name)
            elif name not in self._silent:
                self._silent.add(name)
                last = datetime.fromtimestamp(seen, UTC)
                why = f"nothing came since {last:%Y-%m-%dT%H:%M:%SZ}"
                self._alarm(Alarm("silence", name, "", 0, why))

    def _remember(self) -> None:
        """Sources known from before are missed too. When they were heard, their files tell."""
        for folder in self._into.iterdir():
            heads = [path.stat().st_mtime for path in folder.glob("*/head")]
            if heads and "." not in folder.name:
                self.tally.seen[folder.name] = max(heads)


async def _ensure(stream: "JetStreamContext") -> None:
    """Make the stream where there is none. One that stands is taken as its owner made it."""
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
    from nats.js.errors import NotFoundError

    try:
        await stream.stream_info(STREAM)
    except NotFoundError:
        wanted = StreamConfig(
            name=STREAM,
            subjects=[f"{SUBJECT}.>"],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            duplicate_window=DUPLICATE_SECONDS,
        )
        await stream.add_stream(wanted)
