"""One client's way to its server: a connection at a time, at one of the flow's judged addresses."""

from collections.abc import Callable

from firewall.proxy.handover import Handover
from firewall.proxy.lane.upstream import Another, Place, Reached, Upstream, Upstreams


class Server:
    """Keeps the client's connection between its requests. `another` judges a further address."""

    def __init__(self, upstreams: Upstreams, given: Handover, another: Another) -> None:
        assert given.address is not None
        name = given.host if given.protocol == "tls" else None
        self._upstreams = upstreams
        self._another = another
        self._place = Place(given.address, given.port, name)
        self._kept: Upstream | None = None
        self._give_up: Callable[[], None] = lambda: None

    @property
    def address(self) -> str:
        """Where the flow goes, as judged."""
        return self._place.address

    def reach(self, done: Reached, *, repeatable: bool, fresh: bool) -> None:
        """The client's kept connection, where it still stands and none that is `fresh` is wanted,
        or another one.

        Only a `repeatable` request gets what other clients have left: its server may be closing it
        at this moment, a trouble that a client with a connection of its own would not have had.
        """
        kept, self._kept = self._kept, None
        if kept is not None and not fresh and kept.stream.quiet():
            done(kept, "")
            return
        if kept is not None:
            kept.stream.close()
        new = fresh or not repeatable
        self._give_up = self._upstreams.reach(self._place, done, self._elsewhere, fresh=new)

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

    def _elsewhere(self, then: Callable[[str | None], None]) -> None:
        """Where one address is not reached, the flow goes on at the next, from now on."""

        def judged(address: str | None) -> None:
            if address is not None:
                self._place = self._place._replace(address=address)
            then(address)

        self._another(judged)
