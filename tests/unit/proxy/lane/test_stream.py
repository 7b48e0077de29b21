"""One side of a flow."""

import threading

from firewall.proxy.lane.bridge import pair
from firewall.proxy.lane.stream import Stream
from firewall.proxy.loop import Loop
from tests.unit.proxy.http.stage import read_all


def _nothing() -> None:
    """Nobody waits."""


def test_what_waits_is_sent_before_the_end() -> None:
    ours, theirs = pair()
    loop = Loop()
    stream = Stream(loop, ours, _nothing, _nothing)
    stream.pause()
    data = bytes(8 << 20)
    stream.send(data)
    stream.end_sending()
    thread = threading.Thread(target=loop.run)
    thread.start()
    with theirs:
        received = read_all(theirs)
        loop.stop()
        thread.join()
    stream.close()
    loop.close()
    assert len(received) == len(data)
