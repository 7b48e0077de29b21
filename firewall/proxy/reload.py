"""The policy of a loop takes force anew when its files change, and so do the files it marks."""

from collections.abc import Callable
from pathlib import Path

from firewall.policy import Policy
from firewall.policy.reloading import Reloader
from firewall.proxy.loop import Loop

LOOK_SECONDS = 1.0
MARKED_SECONDS = 2.0


class Reload(Reloader):
    """Loads a policy again on a loop, when asked and with `watch` when its files change."""

    def __init__(
        self,
        loop: Loop,
        path: Path | str,
        policy: Policy,
        replace: Callable[[Policy], None],
        failed: Callable[[str], None],
        *,
        watch: bool,
    ) -> None:
        super().__init__(path, policy, replace, failed)
        self._loop = loop
        if watch:
            loop.after(LOOK_SECONDS, self._watch)

    def _watch(self) -> None:
        # First, so that no failure below ends the watching.
        self._loop.after(LOOK_SECONDS, self._watch)
        self.look()


def watch_marked(loop: Loop, look: Callable[[], None]) -> None:
    """Have a look at the marked files every now and then."""

    def again() -> None:
        # First, so that no failure below ends the watching.
        loop.after(MARKED_SECONDS, again)
        look()

    loop.after(MARKED_SECONDS, again)
