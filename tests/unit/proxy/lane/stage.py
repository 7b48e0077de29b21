"""The stage of the HTTP tests with the lane in front of depth, as the gate has it."""

import asyncio
import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from firewall.judge import Judge
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.lane.lane import Lane
from firewall.proxy.lane.visit import Visit
from firewall.proxy.loop import Loop
from firewall.proxy.ways import way
from firewall.requests import Connect
from tests.unit.proxy.http.stage import HOST, FakeGpu, Silent, Stage
from tests.waiting import PATIENCE


class LaneStage(Stage):
    """What the lane takes goes its way; all else, and what it hands over, goes to depth.

    A door with `deep=True` leads to depth alone, as if there were no lane.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self.deep: list[Handover] = []
        self.visits: list[Visit] = []
        self.others: list[str] = []
        self.judge = Judge(self.policy, self.log, FakeGpu(), Silent())  # type: ignore[arg-type]
        self.gate = Loop()
        self.lane = Lane(self.gate, self.judge, self.authority, self.upstream_ca, self._hand_over)
        self._gate_thread = threading.Thread(target=self.gate.run)
        self._gate_thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.post(self._close_lane)
        self._gate_thread.join(PATIENCE)
        self.gate.close()
        super().__exit__(kind, error, trace)

    def plain(self, door: int) -> socket.socket:
        """A connection to a door, not yet in TLS."""
        return socket.create_connection(("127.0.0.1", door), PATIENCE)

    def _close_lane(self) -> None:
        for visit in list(self.visits):
            visit.abort()
        self.lane.close()
        self.gate.stop()

    def _hand_over(self, given: Handover, client: socket.socket) -> bool:
        self.deep.append(given)

        def serve() -> None:
            self._start(self._deeper(client, given))

        self._loop.call_soon_threadsafe(serve)
        return True

    async def _deeper(self, client: socket.socket, given: Handover) -> None:
        try:
            await self.interceptor.serve(client, given, Traffic())
        finally:
            client.close()

    async def _serve(self, client: socket.socket, given: dict[str, Any]) -> None:
        context = {name: value for name, value in given.items() if name != "deep"}
        handover = Handover(flow=next(self._numbers), **context)
        http = handover.protocol == "http"
        asked = Connect(
            HOST, handover.port, protocol="http" if http else "tls", address=handover.address
        )
        chosen = way(asked, handover.verdict, self.lane)
        if given.get("deep") or handover.kind != "intercept" or chosen != "lane":
            await super()._serve(client, context)
            return
        ended = asyncio.Event()
        self.gate.post(lambda: self._visit(handover, client, ended))
        await ended.wait()

    def _visit(self, given: Handover, client: socket.socket, ended: asyncio.Event) -> None:
        def done(traffic: Traffic) -> None:
            self.traffic.append(traffic)
            self._ended.set()
            self._loop.call_soon_threadsafe(ended.set)

        self.visits.append(self.lane.serve(given, client, done, self._elsewhere(given)))

    def _elsewhere(self, given: Handover) -> list[Connect]:
        """The flow's connections to the other addresses of its host."""
        place = Connect(given.host, given.port, protocol="tls", sni=given.sni)
        return [replace(place, address=each) for each in self.others]
