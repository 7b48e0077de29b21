"""Makes a node's reports, of its state, its gates and its log."""

from datetime import UTC, datetime
from pathlib import Path

from firewall import __version__
from firewall.audit import keys
from firewall.audit.head import read_head
from firewall.audit.segments import chains
from firewall.fleet.follower import State
from firewall.fleet.report import Report, write
from firewall.policy.bundle import group as named


class Reporter:
    """Reports of the node `source`, whose log is in `log` and whose keys are in `authority`.

    Raises ValueError for a name that is no plain token, AuditError and OSError where the key that
    signs cannot be had.
    """

    def __init__(self, source: str, group: str, log: Path, authority: Path) -> None:
        self._source = named(source)
        self._group = group
        self._log = log
        self._authority = authority
        keys.ensure(authority)

    def write(self, state: State) -> bytes:
        """The message of a report, signed by the key of the moment: it may be replaced."""
        key = keys.load(self._authority)
        report = Report(
            source=self._source,
            group=self._group,
            time=datetime.now(UTC),
            firewall=__version__,
            bundle=state.bundle,
            refused=state.refused,
            gates=list(state.gates),
            heads=self._heads(),
            rotations=keys.rotations(self._authority, None, key.public),
        )
        return write(report, key)

    def _heads(self) -> dict[str, int]:
        found = {folder.name: read_head(folder) for folder in chains(self._log)}
        return {chain: head.seq for chain, head in found.items() if head}
