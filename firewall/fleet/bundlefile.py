"""The bundle on a node's disk, which its gates read: replaced whole by a newer one, or left alone.

It is also the node's memory of the newest version that it took, and what stays in force while the
server is away.
"""

import hashlib
import os
from pathlib import Path

from firewall.audit.storage import sync_directory
from firewall.policy import PolicyError, Problem, load_policy
from firewall.policy.bundle import Bundle, Trust, read_bundle

MODE = 0o644
"""A bundle holds no secret, and gates may run as another user."""


class BundleFile:
    """Takes bundles into `path`. `trust` has the keys and the group; one thread at a time."""

    def __init__(self, path: Path, trust: Trust) -> None:
        self.path = path.absolute()
        self._trust = trust
        self._draft = self.path.with_name(f".{self.path.name}.new")

    def standing(self) -> Bundle | None:
        """The bundle that stands there; None where there is none that the keys signed for
        the group.

        It need not be one that would be taken: it may have expired since.
        """
        try:
            bundle = read_bundle(self.path)
        except PolicyError:
            return None
        return bundle if bundle is not None and self._trust.ours(bundle) else None

    def holds(self, data: bytes) -> bool:
        """Whether these bytes are what stands there."""
        try:
            return self.path.stat().st_size == len(data) and self.path.read_bytes() == data
        except OSError:
            return False

    def take(self, data: bytes, place: str) -> Bundle:
        """Put a bundle in the place of the one that stands there, durably.

        `place` is where it came from, for messages. Raises PolicyError where it is refused, OSError
        where the disk fails; what stood there stands there then.
        """
        try:
            self._write(data)
            bundle = self._checked(place)
            os.replace(self._draft, self.path)
            sync_directory(self.path.parent)
        except PolicyError as error:
            raise _told(error, str(self._draft), place) from None
        finally:
            self._draft.unlink(missing_ok=True)
        return bundle

    def _checked(self, place: str) -> Bundle:
        before = self.standing()
        least = before.contents.version if before else 0
        load_policy(self._draft, trust=self._trust.at_least(least))
        bundle = read_bundle(self._draft)
        assert bundle is not None
        if before is not None:
            _must_follow(bundle, before, place)
        return bundle

    def _write(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._draft, flags, MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def fingerprint(data: bytes) -> str:
    """What names a bundle everywhere: SHA-256 (hex) of its file."""
    return hashlib.sha256(data).hexdigest()


def _must_follow(new: Bundle, old: Bundle, place: str) -> None:
    if new.contents.name != old.contents.name:
        what = f"it is the policy {new.contents.name}, and {old.contents.name} is here"
        raise PolicyError([Problem(place, 1, what, f"the next version of {old.contents.name}")])
    if new.contents.version == old.contents.version:
        what = f"it is another version {new.contents.version} than the one that is here"
        raise PolicyError([Problem(place, 1, what, "a higher version")])


def _told(error: PolicyError, draft: str, place: str) -> PolicyError:
    """The same problems, where a person would look for them."""
    return PolicyError(
        Problem(each.file.replace(draft, place), each.line, each.what, each.write)
        for each in error.problems
    )
