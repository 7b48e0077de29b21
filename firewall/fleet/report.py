"""What a node reports: a note (firewall.notes) signed by the key that signs its log's checkpoints.

    agent-firewall fleet report v1
    {"source": "gpu-17", "group": "training", "time": "2026-11-26T12:00:00Z", "firewall": "1.0.0",
     "bundle": {"name": "coding", "version": 7, "sha256": "..."}, "refused": null,
     "gates": [{"version": 7, "digest": "...", "count": 1}], "heads": {"gate-0": 4711},
     "rotations": []}

So a node whose key is known elsewhere can be spoken for by nobody else. `rotations` lead from its
former keys to this one (audit/keys.py).
"""

from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from firewall.audit import keys
from firewall.frozen import frozen
from firewall.notes import Key, Note, SigningKey, sign
from firewall.policy.bundle import Group
from firewall.policy.strict import Strict

TITLE = "agent-firewall fleet report v1"
REPORT_LIMIT = 256 << 10
"""Bytes of a report: the heads of some thousand chains fit."""
GATES = 100
"""Different policies told of; those of the lowest versions first."""
WHY = 500
"""Characters of a reason."""

type Count = Annotated[int, Field(ge=0, lt=1 << 63)]
type Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Held(Strict):
    """The bundle on the node's disk; `sha256` is that of its file."""

    name: str
    version: Count
    sha256: Hash


class Refusal(Strict):
    """The newest bundle that was offered and not taken, and since when it is."""

    sha256: Hash
    why: Annotated[str, Field(max_length=WHY)]
    since: AwareDatetime


class InForce(Strict):
    """How many running gates judge by this policy; version 0 is no bundle.

    The digest is the gates' own: it covers what they read on their machine, and their labels.
    """

    version: Count
    digest: Hash
    count: Count


class Report(Strict):
    """One node's state. `heads` are the newest durable records of its log, by chain."""

    source: Group
    group: Group
    time: AwareDatetime
    firewall: str
    bundle: Held | None
    refused: Refusal | None
    gates: Annotated[list[InForce], Field(max_length=GATES)]
    heads: dict[str, Count]
    rotations: list[str] = Field(default_factory=list)

    @property
    def behind(self) -> int:
        """Gates that do not judge by the bundle on the disk."""
        version = self.bundle.version if self.bundle else 0
        return sum(each.count for each in self.gates if each.version != version)


@frozen
class Signed:
    """A report as it came; nobody has checked its signature yet."""

    report: Report
    note: Note

    def by(self, pinned: Key) -> bool:
        """Whether this key signed it, or one that followed it."""
        known = keys.succession(pinned, self.report.rotations)
        return any(self.note.standing(key) == "valid" for key in known)


def write(report: Report, key: SigningKey) -> bytes:
    """The message of a report."""
    return sign(f"{TITLE}\n{report.model_dump_json()}\n", key).encode()


def read(data: bytes) -> Signed:
    """The report in a message. Raises ValueError, in one line, for whatever is none."""
    if len(data) > REPORT_LIMIT:
        raise ValueError(f"it is larger than {REPORT_LIMIT} bytes")
    note = Note.parse(data.decode())
    title, _, body = note.text.partition("\n")
    if title != TITLE:
        raise ValueError("it is no report")
    try:
        return Signed(Report.model_validate_json(body), note)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where or 'it'}: {first['msg']}") from None
