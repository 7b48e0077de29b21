"""One firewall's log as it arrives: every line held against what is there, and what is wrong told.

Lines of a chain may come out of order, as when one of a batch was not stored at once. A later one
waits for those before it; where they do not come in time, that is a gap.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from firewall.audit.checkpoint import FOLDER, Checkpoint
from firewall.audit.ingest.copy import Copy
from firewall.audit.ingest.notes import Notes
from firewall.audit.record import Seal
from firewall.audit.storage import Disk
from firewall.frozen import frozen
from firewall.notes import Key

GAP_SECONDS = 30.0
"""How long a line waits for those before it. What a receiver that died had not acknowledged comes
again only after `receiver.ACK_SECONDS`: it is late, and not missing."""

type AlarmKind = Literal["gap", "fork", "broken", "unsigned", "silence", "unpinned"]


@frozen
class Alarm:
    """Something that a person must look at. `seq` is a record's or a checkpoint's number, or 0."""

    kind: AlarmKind
    source: str
    chain: str
    seq: int
    why: str


@frozen
class _Held[Token]:
    seal: Seal
    line: bytes
    token: Token
    since: float


@frozen
class _Signed:
    """A record that checkpoint `number` signs and that is still to come."""

    seq: int
    hash: str
    number: int
    since: float


class Source[Token]:
    """The copy of one log in `directory`. A token stands for a line that is to be acknowledged."""

    def __init__(self, directory: Path, key: Key | None, alarm: Callable[[Alarm], None]) -> None:
        self.name = directory.name
        self._directory = directory
        self._alarm = alarm
        self._notes = Notes(directory, key)
        self._copies: dict[str, Copy] = {}
        self._held: dict[str, dict[int, _Held[Token]]] = {}
        self._signed: dict[str, _Signed] = {}
        self._told: set[tuple[AlarmKind, str]] = set()

    @property
    def held(self) -> int:
        """How many lines wait for those before them."""
        return sum(len(each) for each in self._held.values())

    def take(self, chain: str, line: bytes, token: Token) -> list[Token]:
        """Take a line; the tokens of all lines that are settled by it, after a `flush`."""
        return [*self._take_one(chain, line, token), *self._drain(chain)]

    def _take_one(self, chain: str, line: bytes, token: Token) -> list[Token]:
        try:
            copy = self._copy(chain)
        except ValueError as error:
            self._refuse("broken", "odd-chain", 0, line, str(error))
            return [token]
        fit, seal = copy.fit(line)
        if seal is None:
            self._refuse("broken", chain, 0, line, "what came is no record of this chain")
        elif fit == "later":
            return self._hold(chain, _Held(seal, line, token, time.monotonic()))
        elif fit == "next":
            self._add(chain, line, seal)
        elif fit == "unsigned":
            self._refuse("unsigned", chain, seal.seq, line, "the pinned key has not signed it")
        elif fit == "late":
            self._refuse("gap", chain, seal.seq, line, "it came after its gap was given up")
        elif fit == "fork":
            self._refuse("fork", chain, seal.seq, line, "it does not follow from what is here")
        return [token]

    def overdue(self, patience: float = GAP_SECONDS) -> list[Token]:
        """Give up waiting for what did not come in time; the tokens that are settled by it."""
        settled: list[Token] = []
        for chain, held in list(self._held.items()):
            oldest = min((each.since for each in held.values()), default=time.monotonic())
            while held and oldest <= time.monotonic() - patience:
                first = held.pop(min(held))
                settled += [first.token, *self._go_on_without(chain, first)]
        self._look_for_signed(patience)
        return settled

    @property
    def verified(self) -> int:
        """The newest checkpoint that the pinned key signed; 0 where there is none."""
        return self._notes.verified

    def flush(self) -> None:
        """Put all that was taken on the disk."""
        self._notes.flush()
        for copy in self._copies.values():
            copy.flush()

    def close(self) -> None:
        self._notes.close()
        for copy in self._copies.values():
            copy.close()

    def _copy(self, chain: str) -> Copy | Notes:
        if chain == FOLDER:
            return self._notes
        if chain not in self._copies:
            self._copies[chain] = Copy(self._directory, chain)
        return self._copies[chain]

    def _hold(self, chain: str, late: _Held[Token]) -> list[Token]:
        """Keep it until those before it have come; what came twice need not come a third time."""
        held = self._held.setdefault(chain, {})
        before, held[late.seal.seq] = held.get(late.seal.seq), late
        return [before.token] if before else []

    def _drain(self, chain: str) -> list[Token]:
        """Take what waited for the line just added: perhaps thousands, so not by recursion."""
        settled: list[Token] = []
        if not (held := self._held.get(chain)):
            return settled
        copy = self._copy(chain)
        while copy.head and (following := held.pop(copy.head.seq + 1, None)):
            settled += self._take_one(chain, following.line, following.token)
        return settled

    def _add(self, chain: str, line: bytes, seal: Seal) -> None:
        self._copy(chain).add(line, seal)
        if chain == FOLDER:
            self._hold_against_records(Checkpoint.parse(line))

    def _hold_against_records(self, found: Checkpoint) -> None:
        for name, head in found.heads.items():
            signed = _Signed(head.seq, head.hash, found.number, time.monotonic())
            if self._reaches(name, head.seq):
                self._compare(name, signed)
            else:
                self._signed.setdefault(name, signed)

    def _look_for_signed(self, patience: float) -> None:
        """A checkpoint may come before the records that it signs, as any line may."""
        for name, signed in list(self._signed.items()):
            if self._reaches(name, signed.seq):
                self._compare(name, self._signed.pop(name))
            elif signed.since <= time.monotonic() - patience:
                del self._signed[name]
                why = f"checkpoint {signed.number} signs record {signed.seq}, which did not come"
                self._tell("gap", name, signed.seq, why)

    def _reaches(self, name: str, seq: int) -> bool:
        """Whether what is here of a chain goes as far."""
        if name not in self._copies and not (self._directory / name).is_dir():
            return False
        head = self._copy(name).head
        return head is not None and head.seq >= seq

    def _compare(self, name: str, signed: _Signed) -> None:
        if self._copy(name).hash_of(signed.seq) not in (None, signed.hash):
            why = f"checkpoint {signed.number} signs another record {signed.seq} than came"
            self._tell("fork", name, signed.seq, why)

    def _go_on_without(self, chain: str, first: _Held[Token]) -> list[Token]:
        """Take a line whose predecessors are missing, unless it goes on from a refused fork."""
        if self._refused(chain, "fork").exists():
            self._refuse("fork", chain, first.seal.seq, first.line, "it goes on from a fork")
            return []
        self._tell_gap(chain, first.seal.seq)
        self._add(chain, first.line, first.seal)
        return self._drain(chain)

    def _tell_gap(self, chain: str, seq: int) -> None:
        head = self._copy(chain).head
        why = f"records {head.seq + 1 if head else 1} to {seq - 1} did not come"
        self._alarm(Alarm("gap", self.name, chain, seq, why))

    def _tell(self, kind: AlarmKind, chain: str, seq: int, why: str) -> None:
        """The first of a kind in a chain; all that follows from it is the same news."""
        if (kind, chain) not in self._told:
            self._told.add((kind, chain))
            self._alarm(Alarm(kind, self.name, chain, seq, why))

    def _refuse(self, kind: AlarmKind, chain: str, seq: int, line: bytes, why: str) -> None:
        """Keep what does not fit as evidence beside the log, and say so."""
        path = self._refused(chain, kind)
        Disk().make_directory(path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(line if line.endswith(b"\n") else line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._tell(kind, chain, seq, f"{why}; it is kept in {path}")

    def _refused(self, chain: str, kind: AlarmKind) -> Path:
        return self._directory / "refused" / f"{chain}.{kind}"
