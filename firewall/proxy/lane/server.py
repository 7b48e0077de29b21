"""One client's way to its server: a connection at a time, at the flow's judged address."""

from collections.abc import Callable

from firewall.proxy.handover import Handover
from firewall.proxy.lane.upstream import Place, Reached, Upstream, Upstreams


class Server:
    """Keeps the client's connection between its requests."""

    def __init__(self, upstreams: Upstreams, given: Handover) -> None:
        assert given.address is not None
        name = given.host if given.protocol == "tls" else None
        self._upstreams = upstreams
        self._place = Place(given.address, given.port, name)
        self._kept: Upstream | None = None
        self._give_up: Callable[[], None] = lambda: None

    def reach(self, done: Reached, *, fresh: bool) -> None:
        """The kept connection, where it still stands and none that is `fresh` is wanted, or
        another one."""
        kept, self._kept = self._kept, None
        if kept is not None and not fresh and kept.stream.quiet():
            done(kept, "")
            return
        if kept is not None:
            kept.stream.close()
        self._give_up = self._upstreams.reach(self._place, done, fresh=fresh)

    def keep(self, upstream: Upstream) -> None:
        """Take back the connection on which nothing is under way."""
        self._kept = upstream
        upstream.rest()

    def release(self) -> None:
        """Leave the kept connection to other clients."""
        kept, self._kept = self._kept, None
        if kept is not None and kept.stream.open:
            self._upstreams.keep(kept)

    def leave(self) -> None:
        """Give up what is being opened, and release the rest."""
        self._give_up()
        self.release()
