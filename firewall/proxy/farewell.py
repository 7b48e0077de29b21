"""A last word to a client whose flow is refused, in its own protocol."""

import contextlib
import logging
import socket

from firewall.proxy.loop import READ, Loop
from firewall.proxy.relay import reset_on_close

logger = logging.getLogger(__name__)

LINGER_SECONDS = 2.0
CHUNK = 1 << 16


class Farewell:
    """Sends the words and waits for the client's end, so that no reset overtakes them."""

    def __init__(self, loop: Loop, client: socket.socket, words: bytes) -> None:
        self._loop = loop
        self._client = client
        with contextlib.suppress(OSError):
            client.recv(CHUNK)
            client.send(words)
            client.shutdown(socket.SHUT_WR)
        self._timer = loop.after(LINGER_SECONDS, self._close)
        loop.watch(client.fileno(), READ, self._readable)

    def _readable(self, events: int) -> None:
        """One chunk at a time: a client that never stops must not keep the loop."""
        try:
            if self._client.recv(CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:
            logger.debug("the client was gone before the last word")
        self._close()

    def _close(self) -> None:
        self._timer.cancel()
        self._loop.forget(self._client.fileno())
        reset_on_close(self._client)
        self._client.close()
