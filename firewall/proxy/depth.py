"""The depth process: serves the flows that need mitmproxy, and dies with the gate.

    python -m firewall.proxy.depthstart FD

FD is this process's end of the SOCK_SEQPACKET channel (handover.py). The first message is "setup";
each further one replaces the policy, unless the new one is bad. "flow" brings a client's socket.
Back go "verdict", for the gate's metrics, "closed", and "quarantine" where something critical was
blocked, upon which the gate ends this process. "deeds" goes both ways: what one side has allowed,
for the other's rules that refer to it. "charge" asks the gate to count what limits allow, and is
answered by "charged" (quotalink.py).
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firewall.audit import AuditLog
from firewall.gpu import GpuMonitor
from firewall.proxy import handover
from firewall.proxy.deputy import Deputy
from firewall.proxy.handover import Handover, Setup, Traffic
from firewall.proxy.http.serve import Interceptor
from firewall.proxy.quotalink import RemoteQuota
from firewall.proxy.reports import shortened

if TYPE_CHECKING:
    from firewall.proxy.ssh.gateway import Gateway

logger = logging.getLogger(__name__)

CUT_SECONDS = 0.5
"""In which flows that are cut close their sockets."""
REPORTS_LIMIT = 100_000
"""Reports that may wait for the gate; the oldest are dropped, as their records exist anyway."""
SSH = ("ssh", "silent")
"""What the SSH gateway takes: a client that keeps silent waits for its banner."""


class Reports:
    """What goes back to the gate, in order and without ever waiting for it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque(maxlen=REPORTS_LIMIT)

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        """Tell the gate, where the verdicts are counted and shown (ports.Witness)."""
        self.send("verdict", {"event": shortened(event), "seconds": seconds})

    def send(self, kind: str, body: dict[str, Any]) -> None:
        self._waiting.append((kind, body))
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._waiting:
            try:
                handover.send(self._channel, *self._waiting[0])
            except BlockingIOError:
                self._loop.add_writer(self._channel, self._flush)
                return
            except OSError:
                self._waiting.clear()
                break
            self._waiting.popleft()
        self._loop.remove_writer(self._channel)


class Depth:
    """Serves whatever comes through the channel until it closes. Made inside a running loop."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._reports = Reports(channel)
        self._quota = RemoteQuota(self._reports.send)
        self._flows: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._deputy: Deputy | None = None
        self._interceptor: Interceptor | None = None
        self._gateway: Gateway | None = None
        self._gpu = GpuMonitor()
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Serve; returns when the gate has closed the channel, with every record written.

        Raises what made the first setup fail: without a policy there is nothing to serve.
        """
        self._loop.set_task_factory(asyncio.eager_task_factory)
        self._gpu.start()
        self._loop.add_reader(self._channel, self._ready)
        try:
            await self._over.wait()
        finally:
            self._loop.remove_reader(self._channel)
            await self._cut()
            self._stop()
        if self._failure is not None:
            raise self._failure

    async def _cut(self) -> None:
        """Close every flow's sockets, before the records take their time."""
        for flow in self._flows:
            flow.cancel()
        if self._flows:
            await asyncio.wait(self._flows, timeout=CUT_SECONDS)

    def _stop(self) -> None:
        self._gpu.stop()
        if self._deputy is not None:
            self._deputy.log.close()

    def _ready(self) -> None:
        while not self._over.is_set():
            try:
                message = handover.receive(self._channel)
            except BlockingIOError:
                return
            if message is None:
                self._over.set()
            else:
                self._take(*message)

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        match kind:
            case "setup":
                self._set_up(handover.decode_setup(body))
            case "flow" if not fds:
                logger.error("flow %s ends: no descriptor is left for it", body.get("flow"))
            case "flow":
                client = socket.socket(fileno=fds[0])
                self._serve(client, handover.decode(body))
            case "charged":
                self._quota.answered(body)
            case "deeds" if self._deputy is not None:
                self._deputy.judge.remember(handover.decode_deeds(body))
            case _:
                logger.error("the gate sent a message of unknown kind %r", kind)

    def _set_up(self, setup: Setup) -> None:
        if self._deputy is not None:
            self._renew(self._deputy, setup)
            return
        try:
            self._assemble(setup)
        except Exception as error:
            self._failure = error
            self._over.set()

    def _assemble(self, setup: Setup) -> None:
        reports = self._reports

        def post(answer: Callable[[], None]) -> None:
            self._loop.call_soon_threadsafe(answer)

        log = AuditLog(Path(setup.audit), setup.chain)
        deputy = Deputy(setup, log, self._gpu, reports, self._quota, reports.send, post)
        self._deputy = deputy
        addons = [each for name in setup.addons for each in import_module(name).addons]
        authority = Path(setup.authority)
        self._interceptor = Interceptor(deputy.judge, authority, setup.upstream_ca, addons)

    def _renew(self, deputy: Deputy, setup: Setup) -> None:
        """Judge by the gate's new policy; a process that cannot must not go on by the old one."""
        try:
            deputy.renew(setup)
        except Exception:
            logger.exception("the new policy cannot be read here; every flow ends")
            self._over.set()

    def _serve(self, client: socket.socket, given: Handover) -> None:
        if self._interceptor is None:
            logger.error("a flow came before the setup; it is closed")
            client.close()
            return
        task = self._loop.create_task(self._follow(self._interceptor, client, given))
        if not task.done():
            self._flows.add(task)
            task.add_done_callback(self._flows.discard)

    async def _follow(
        self, interceptor: Interceptor, client: socket.socket, given: Handover
    ) -> None:
        started = time.monotonic()
        traffic = Traffic()
        try:
            with contextlib.suppress(ConnectionError):
                server = self._ssh() if given.protocol in SSH else interceptor
                await server.serve(client, given, traffic)
        except Exception:
            logger.exception("flow %d failed and is closed", given.flow)
        finally:
            client.close()
            self._reports.send("closed", {"flow": given.flow, **traffic.facts(started)})

    def _ssh(self) -> "Gateway":
        """The SSH gateway, made for the first flow that needs it: most sandboxes never do."""
        from firewall.proxy.ssh.gateway import Gateway

        if self._gateway is None:
            assert self._deputy is not None
            setup = self._deputy.setup
            self._gateway = Gateway(self._deputy.judge, Path(setup.authority), setup.known_hosts)
        return self._gateway


def main() -> None:
    """Serve the channel whose descriptor is the first argument."""
    logging.basicConfig(level=logging.WARNING, format="depth: %(levelname)s %(message)s")
    channel = socket.socket(fileno=int(sys.argv[1]))

    async def run() -> None:
        await Depth(channel).run()
        # At once: the gate is gone, and helper threads may still be resolving names.
        os._exit(0)

    asyncio.run(run())
