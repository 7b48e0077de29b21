"""What a receiver does when its server answers late."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from firewall.audit.ingest import Alarm, Receiver


class Late:
    """A stream whose consumer says that time is up, in the plain way, and has nothing more."""

    def __init__(self) -> None:
        self.asked = 0

    async def stream_info(self, name: str) -> None:
        pass

    async def pull_subscribe(self, *wanted: object) -> "Late":
        return self

    async def fetch(self, batch: int, timeout: float) -> list[object]:
        self.asked += 1
        raise TimeoutError

    async def consumer_info(self) -> SimpleNamespace:
        return SimpleNamespace(num_pending=2 - self.asked, num_ack_pending=0)


def test_no_message_in_time_is_no_lost_server(tmp_path: Path) -> None:
    late = Late()
    alarms: list[Alarm] = []
    receiver = Receiver(tmp_path, {}, alarms.append, silence=300, stop=threading.Event())
    asyncio.run(receiver._receive(cast("Any", late), once=True))
    assert late.asked == 2
