"""A client's socket while the gate itself talks with it, and how that ends."""

import socket

from firewall.proxy.loop import Loop, Timer
from firewall.proxy.relay import reset_on_close
from firewall.verdict import Verdict


class Held:
    """Watched by the loop under a deadline, until it is closed or given to somebody else."""

    def __init__(self, loop: Loop, client: socket.socket) -> None:
        self._loop = loop
        self._client = client
        self._timer: Timer | None = None

    def _refused(self, verdict: Verdict) -> None:
        """End it as whatever failed closed must."""
        self._reset()

    def _reset(self) -> None:
        reset_on_close(self._client)
        self._close()

    def _close(self) -> None:
        if self._client.fileno() >= 0:
            self._forget()
            self._client.close()

    def _forget(self) -> None:
        """Stop watching; the socket stays as it is."""
        self._stop_waiting()
        self._loop.forget(self._client.fileno())

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
