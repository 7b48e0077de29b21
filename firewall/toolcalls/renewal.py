"""The policy of a judge that no firewall stands around takes force anew when its files change."""

import logging
import threading
from collections.abc import Callable

from firewall.judge import Judge
from firewall.policy import Policy
from firewall.policy.reloading import Reloader, works_beside
from firewall.vault import Vault

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Renewal:
    """Watches a judge's policy files on a thread of its own, from its making until `close`.

    Files where the agent works, who could change them, are only loaded again with `now`, as under
    `firewall run`. A new policy is recorded; `say` is told why one was not taken, and the old one
    stays in force.
    Raises OSError where the files' folders cannot be held.
    """

    def __init__(self, judge: Judge, say: Callable[[str], None] = logger.warning) -> None:
        self._judge, self._say = judge, say
        path = judge.policy.sources[-1].absolute()
        self._reloader = Reloader(path, judge.policy, self._replace, self._failed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        if not works_beside(judge.policy):
            self._thread.start()

    def now(self) -> None:
        """Load the policy again, for who has just written to it. Any thread may call this."""
        with self._lock:
            self._reloader.now()

    def close(self) -> None:
        """End the watching."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._reloader.close()

    def _work(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                with self._lock:
                    self._reloader.look()
            except Exception as error:
                logger.exception("the policy could not be loaded again")
                self._failed(f"the old policy stays in force: {error!r}")

    def _replace(self, policy: Policy) -> None:
        self._judge.policy, self._judge.vault = policy, Vault(watched=policy.watched)
        self._judge.note("policy", policy.facts())

    def _failed(self, why: str) -> None:
        self._say(f"firewall: {why}")
