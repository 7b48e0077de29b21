"""A node's agent: takes its group's newest bundle, and reports what is in force.

It stands on no verdict's road: while it, the network or the server is away, the bundle on the disk
stays in force. The server only says that there may be something new; what is new is what the
stream has stored.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from firewall.audit import AuditError
from firewall.audit.ship import NotTakenError, Settings
from firewall.fleet.bundlefile import BundleFile, fingerprint
from firewall.fleet.report import WHY, Held, InForce, Refusal
from firewall.fleet.wire import (
    UnreadableError,
    connected,
    jetstream,
    offered,
    policy_subject,
    report_subject,
)
from firewall.policy import PolicyError
from firewall.policy.bundle import Bundle

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
REPORT_SECONDS = 15.0
"""Between looks at what is offered, and reports, where nothing happens."""
BACKOFF_SECONDS = 1.0
BACKOFF_LIMIT = 60.0


@dataclass(slots=True)
class State:
    """What there is to tell of a node. `contact` is when a report was taken last (epoch)."""

    bundle: Held | None = None
    refused: Refusal | None = None
    gates: tuple[InForce, ...] = ()
    contact: float = 0.0
    taken: int = 0
    refusals: int = 0


class Follower:
    """Follows a group. `settings.source` names the node.

    `gates` says what is in force, `report` makes the message that tells of a state (AuditError:
    it cannot), and `record` keeps what was taken or refused.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        group: str,
        file: BundleFile,
        gates: Callable[[], list[InForce]],
        report: Callable[[State], bytes],
        record: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._url = url
        self._settings = settings
        self._group = group
        self._place = policy_subject(group)
        self._subject = report_subject(group, settings.source)
        self._file = file
        self._gates = gates
        self._report = report
        self._record = record
        self._nudged = False
        self._due = 0.0
        self._failures = 0
        self._told: object = None
        self.state = State()

    def run(self, stop: threading.Event, *, once: bool) -> bool:
        """Follow until `stop`, or to what is offered now; False where no server was reached."""
        return asyncio.run(self._run(stop, once=once))

    async def _run(self, stop: threading.Event, *, once: bool) -> bool:
        self._stand()
        while not stop.is_set():
            try:
                async with connected(self._url, self._settings) as client:
                    await self._follow(client, stop, once=once)
                if once:
                    return True
            except (NotTakenError, AuditError) as error:
                if once:
                    logger.error("%s", error)
                    return False
                await self._wait(stop, error)
        return True

    async def _wait(self, stop: threading.Event, error: Exception) -> None:
        """Back off with jitter, so that a fleet does not come back all at once."""
        self._failures += 1
        most = min(BACKOFF_LIMIT, BACKOFF_SECONDS * 2.0 ** min(self._failures, 16))
        wait = random.uniform(BACKOFF_SECONDS / 2, most)  # noqa: S311 - spreads load, keeps no secret
        logger.warning("what is on the disk stays in force; again in %.1f s: %s", wait, error)
        await asyncio.to_thread(stop.wait, wait)

    async def _follow(self, client: "Client", stop: threading.Event, *, once: bool) -> None:
        await client.subscribe(self._place, cb=self._nudge)
        stream = jetstream(client)
        self._due = 0.0
        while not stop.is_set():
            if not client.is_connected:
                raise NotTakenError("the connection was lost")
            if self._nudged or time.monotonic() >= self._due:
                await self._look(stream)
            await self._tell(stream)
            if once:
                return
            await asyncio.to_thread(stop.wait, TICK_SECONDS)

    async def _nudge(self, _: object) -> None:
        """Something was published, which is perhaps not stored: the next tick looks what is."""
        self._nudged = True

    async def _look(self, stream: "JetStreamContext") -> None:
        self._nudged = False
        try:
            data = await offered(stream, self._group)
        except UnreadableError as error:
            self._refuse(fingerprint(b""), f"{self._place}: {error}")
            return
        if data is None:
            self.state.refused = None
        else:
            await asyncio.to_thread(self._judge, data)

    def _judge(self, data: bytes) -> None:
        """Take what is offered or refuse it; again each time, as a disk may have room by then."""
        name = fingerprint(data)
        if self._file.holds(data):
            self.state.refused = None
        else:
            self._take(data, name)
        self._stand()

    def _take(self, data: bytes, name: str) -> None:
        try:
            bundle = self._file.take(data, self._place)
        except (PolicyError, OSError) as error:
            self._refuse(name, str(error)[:WHY])
            return
        self.state.refused = None
        self.state.taken += 1
        contents = bundle.contents
        logger.warning("took %s, version %d", contents.name, contents.version)
        self._note("taken", sha256=name, name=contents.name, version=contents.version)

    def _refuse(self, name: str, why: str) -> None:
        """Told once: it may be offered for ever."""
        known = self.state.refused
        if known is not None and (known.sha256, known.why) == (name, why):
            return
        self.state.refused = Refusal(sha256=name, why=why, since=datetime.now(UTC))
        self.state.refusals += 1
        logger.error("refused, the old policy stays in force: %s", why)
        self._note("refused", sha256=name, why=why)

    def _note(self, what: str, **facts: object) -> None:
        self._record({"kind": f"fleet.{what}", "group": self._group, **facts})

    def _stand(self) -> None:
        """Look what is on the disk."""
        found = self._file.standing()
        self.state.bundle = None if found is None else _held(found)

    async def _tell(self, stream: "JetStreamContext") -> None:
        """Report when something changed, and every now and then."""
        self.state.gates = tuple(await asyncio.to_thread(self._gates))
        now = (self.state.gates, self.state.bundle, self.state.refused)
        if now == self._told and time.monotonic() < self._due:
            return
        message = await asyncio.to_thread(self._report, self.state)
        await stream.publish(self._subject, message)
        self._told = now
        self._failures = 0
        self.state.contact = time.time()
        self._due = time.monotonic() + REPORT_SECONDS


def _held(bundle: Bundle) -> Held:
    contents = bundle.contents
    sha256 = fingerprint(bundle.path.read_bytes())
    return Held(name=contents.name, version=contents.version, sha256=sha256)
