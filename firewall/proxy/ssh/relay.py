"""A channel of the agent and its counterpart upstream: bytes, ends, signals and statuses."""

import asyncio
import time
from typing import Any

from firewall.judge import fail_closed, probe
from firewall.proxy.ssh.inspect import Inspector
from firewall.proxy.ssh.lane import Channel, Lane
from firewall.proxy.ssh.visit import BlockedError, Visit
from firewall.requests import SshKind
from firewall.verdict import Verdict


class Relay:
    """Two lanes between `near`, the agent's channel, and `far`, the server's."""

    def __init__(self, visit: Visit, kind: SshKind, detail: str, inspector: Inspector) -> None:
        self.visit = visit
        self.kind = kind
        self.detail = detail
        self.sent = Lane(inspector.sent)
        self.received = Lane(inspector.received)
        self.blocked: Verdict | None = None
        self.outcome: dict[str, Any] = {}
        self._started = time.monotonic()

    async def run(self, near: Channel, far: Channel) -> None:
        """Carry until the server has ended, or something may not pass."""
        self.sent.attach(near)
        self.received.attach(far)
        up = asyncio.ensure_future(self._carry(self.sent, far))
        down = asyncio.ensure_future(self._carry(self.received, near))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if self.blocked is None and up.done():
                await down
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _carry(self, lane: Lane, target: Channel) -> None:
        with fail_closed(self.visit.judge, "ssh.relay", self._block, actor=self.visit.given.actor):
            probe("ssh.relay")
            try:
                await lane.run(target)
            except BlockedError as error:
                self._block(error.verdict)
            except OSError:
                # The target is closed: what was on its way to it has nowhere to go.
                return

    def _block(self, verdict: Verdict) -> None:
        self.blocked = verdict

    def finish(self) -> None:
        """Write down how it ended."""
        facts = {"sent": self.sent.moved, "received": self.received.moved, **self.outcome}
        seconds = round(time.monotonic() - self._started, 3)
        self.visit.note(
            "ssh.channel", channel=self.kind, detail=self.detail, seconds=seconds, **facts
        )


class FarEnd:
    """What the server's side of a session and of a forward have in common."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.relay.received.put(data, datatype)

    def eof_received(self) -> bool:
        self.relay.received.put_eof()
        return True

    def pause_writing(self) -> None:
        self.relay.sent.pause()

    def resume_writing(self) -> None:
        self.relay.sent.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.received.end()
        self.relay.sent.resume()


class NearEnd:
    """What the agent's side of a session and of a forward have in common."""

    relay: Relay

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.relay.sent.put(data, datatype)

    def eof_received(self) -> bool:
        self.relay.sent.put_eof()
        return True

    def pause_writing(self) -> None:
        self.relay.received.pause()

    def resume_writing(self) -> None:
        self.relay.received.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.received.resume()
        self.relay.received.end()
