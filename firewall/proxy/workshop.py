"""A workshop: a process in which workers serve many sandboxes, each as if it were alone.

    python -m firewall.proxy.workshop FD

FD is this process's end of a SOCK_SEQPACKET channel (handover.py). "setup" brings the log and the
chain that all its workers write, "worker" a channel over which one is told what worker.py says, and
"heard" is answered by "done". Back go "counts", of all together. A worker whose channel ends, or
that cannot do what it must, ends alone; when the workshop's own channel ends, so do all.
"""

import logging
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from firewall.gpu.follower import OneFollower
from firewall.proxy import handover
from firewall.proxy.gate import keep_what_stands, set_limits
from firewall.proxy.loop import READ, WRITE
from firewall.proxy.shop import Shop
from firewall.proxy.upward import Upward
from firewall.proxy.worker import Given, Worker, expected, given_by

logger = logging.getLogger(__name__)

TOLD_SECONDS = 5.0
"""In which a worker is told its duty, whose channel has come."""


class Workshop:
    """Takes in workers until the channel closes."""

    def __init__(self, channel: socket.socket, shop: Shop) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._shop = shop
        self._up = Upward(shop.loop, channel, shop.loop.stop)
        self._workers: dict[socket.socket, tuple[Worker, Given]] = {}
        # What the GPUs do after a block is recorded once in the one chain, not by each judge.
        shop.gpu = OneFollower(shop.monitor)
        shop.monitor.follow(self._record)

    def run(self) -> None:
        """Returns when the channel has closed, with every record written."""
        shop = self._shop
        shop.open(self._up.send)
        shop.loop.watch(self._channel.fileno(), READ, self._ready)
        try:
            shop.loop.run()
        finally:
            for channel, (worker, given) in self._workers.items():
                worker.close()
                self._part(channel, worker, given)
            shop.close()
            self._up.last("counts", shop.counts())

    def _record(self, facts: Mapping[str, Any]) -> None:
        self._shop.log.append({"kind": "gpu-after", **facts}, urgent=False)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._up.flush()
        while True:
            try:
                message = handover.receive(self._channel)
            except BlockingIOError:
                return
            if message is None:
                break
            self._take(*message)
        self._shop.loop.stop()

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        if kind == "heard":
            self._up.send("done", {})
        elif kind == "worker" and fds:
            self._begin(socket.socket(fileno=fds[0]))
        else:
            logger.error("the gate sent a message %r that is of no use", kind)

    def _begin(self, channel: socket.socket) -> None:
        """One that cannot begin leaves its channel closed, by which its gate knows."""
        try:
            channel.settimeout(TOLD_SECONDS)
            given, setup = given_by(channel)
        except (Exception, SystemExit):
            logger.exception("a worker was not told what to do")
            channel.close()
            return
        try:
            ended = partial(self._ended, channel)
            self._workers[channel] = Worker(channel, given, setup, self._shop, ended), given
        except Exception:
            logger.exception("a worker could not begin")
            channel.close()
            given.close()

    def _ended(self, channel: socket.socket) -> None:
        """Not at once: the worker may be in the middle of something."""
        self._shop.loop.post(partial(self._end, channel))

    def _end(self, channel: socket.socket) -> None:
        if (found := self._workers.pop(channel, None)) is not None:
            found[0].close()
            # Behind what it has posted, to be told, of the flows that have ended now.
            self._shop.loop.post(partial(self._part, channel, *found))

    def _part(self, channel: socket.socket, worker: Worker, given: Given) -> None:
        self._shop.loop.forget(channel.fileno())
        worker.up.drain()
        channel.close()
        given.close()


def main() -> None:
    """Serve the channel whose descriptor is the first argument."""
    logging.basicConfig(level=logging.WARNING, format="worker: %(levelname)s %(message)s")
    set_limits()
    channel = socket.socket(fileno=int(sys.argv[1]))
    body, _ = expected(channel, "setup")
    setup = handover.decode_setup(body)
    workshop = Workshop(channel, Shop(Path(setup.audit), setup.chain))
    keep_what_stands()
    workshop.run()
    # At once: the gate is gone, and helper threads may still be resolving names.
    os._exit(0)


if __name__ == "__main__":
    main()
