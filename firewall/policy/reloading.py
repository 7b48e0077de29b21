"""A new policy takes force when its files change, whole or not at all.

The files' folders are held open: an agent that can rename a folder must not be able to put another
in its place.
"""

import os
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from firewall.policy.bundle import Trust
from firewall.policy.errors import PolicyError, Problem
from firewall.policy.policy import Policy, load_policy

type Signature = tuple[tuple[int, int, int], ...]


class Reloader:
    """Loads a policy again: with `now` at once, with `look` where its files have changed.

    `failed` is told why a new policy was not taken: no bundle goes back to an older one, or on to
    one of another name. One thread at a time may use it.
    """

    def __init__(
        self,
        path: Path | str,
        policy: Policy,
        replace: Callable[[Policy], None],
        failed: Callable[[str], None],
    ) -> None:
        self._path = path
        self._replace = replace
        self._failed = failed
        self._digest = policy.digest
        self._name, self._version = policy.name, policy.version
        self._labels = policy.labels
        self._folders = _folders(policy.files)
        self._sources = policy.files
        self._seen = _signature(self._sources)

    def now(self) -> None:
        """Load the policy again; a bad one leaves the old one in force and says so."""
        try:
            _must_be_same(self._folders)
            trust = Trust.required().at_least(self._version)
            policy = load_policy(self._path, self._labels, trust=trust)
            self._must_follow(policy)
            _must_be_same(self._folders)
        except (PolicyError, OSError) as error:
            self._failed(f"the old policy stays in force: {error}")
            return
        self._sources = policy.files
        self._folders |= _folders(policy.files, held=self._folders)
        # A secret may be another one though the policy is the same.
        changed = (policy.digest, policy.version) != (self._digest, self._version)
        self._name, self._version = policy.name, policy.version
        if changed or policy.secrets:
            self._replace(policy)
            self._digest = policy.digest

    def look(self) -> None:
        """Load the policy again where its files are not those that were seen last."""
        seen = _signature(self._sources)
        if seen != self._seen:
            self._seen = seen
            self.now()

    def _must_follow(self, policy: Policy) -> None:
        """A signer may sign many policies; which one is in force is for who starts the firewall."""
        if self._version and policy.name != self._name:
            what = f"it is the policy {policy.name}, and {self._name} is in force"
            write = f"the next version of {self._name}"
            raise PolicyError([Problem(str(self._path), 1, what, write)])

    def close(self) -> None:
        """Let the folders go."""
        for held in self._folders.values():
            os.close(held)
        self._folders.clear()


def works_beside(policy: Policy) -> bool:
    """Whether a policy's folder holds the agent's own work and so cannot be read-only to it.

    The agent could then put other files there, so such a policy is reloaded only when asked to.
    """
    here = Path.cwd()
    return any(here.is_relative_to(source.parent) for source in policy.files)


def _signature(sources: Sequence[Path]) -> Signature:
    return tuple(_stamp(source) for source in sources)


def _stamp(source: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(source)
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _folders(sources: Sequence[Path], held: Container[Path] = ()) -> dict[Path, int]:
    """Each folder not yet held, with a descriptor that keeps another from taking its identity."""
    folders = {source.parent for source in sources if source.parent not in held}
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    return {folder: os.open(folder, flags) for folder in folders}


def _must_be_same(folders: dict[Path, int]) -> None:
    for folder, held in folders.items():
        if not os.path.samestat(os.stat(folder), os.fstat(held)):
            raise PermissionError(f"{folder} is not the folder that the policy was read from")
