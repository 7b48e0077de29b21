"""Questions and answers as files, shared by every process that judges and the command line.

    approvals/ID.question     what is asked, by the process that waits for the answer
    approvals/ID.answer       what a person decided; the first one counts

A file is complete when it has its name. The folder is the user's own (0700), and so is each file
(0600): whoever may write here is that user, or root.
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from firewall.frozen import frozen

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Letters and digits that nobody takes for one another."""
ID_LENGTH = 4
FILE_LIMIT = 256 << 10
"""Bytes of one file that are read."""

type How = Literal["once", "session", "rule"]


@frozen
class Owner:
    """A process, told from a later one of the same number by its start, in ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self:
        return cls(pid, _started(pid))

    @property
    def lives(self) -> bool:
        return self.started != 0 and _started(self.pid) == self.started


@frozen
class Question:
    """What waits for a person. `asked` and `until` are seconds since the epoch, `process` is who
    asked, `request` what for; `whole` is False where the request was too large to be kept whole.
    `sources` are the files of the policy, the last one extends the others.
    """

    id: str
    rule: str
    reason: str
    sources: Sequence[str]
    sandbox: str
    process: Mapping[str, Any]
    request: Mapping[str, Any]
    whole: bool
    asked: float
    until: float
    owner: Owner


@frozen
class Answer:
    """What a person decided. `how` long an allow holds, `reason` what they said."""

    allow: bool
    by: str
    uid: int
    how: How = "once"
    reason: str = ""


class AnsweredError(ValueError):
    """Somebody has answered already."""


class Spool:
    """The folder. Methods raise OSError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, or close it to others."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def new_id(self) -> str:
        while True:
            name = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
            if not any(self._path(name, kind).exists() for kind in ("question", "answer")):
                return name

    def put(self, question: Question) -> None:
        """Raises FileExistsError where another has this ID."""
        write(self._path(question.id, "question"), asdict(question))

    def questions(self) -> list[Question]:
        """What waits, oldest first; what nobody waits for any more is cleared."""
        found = [self.find(path.stem) for path in self.folder.glob("*.question")]
        return sorted((each for each in found if each), key=lambda each: each.asked)

    def find(self, name: str) -> Question | None:
        """One question; None where nobody waits for its answer."""
        if not name or set(name) - set(ALPHABET):
            return None
        # Root reads what any user's firewall asks; whose answer counts is another matter.
        body = read(self._path(name, "question"), anybody=os.geteuid() == 0)
        if body is None:
            return None
        with suppress(KeyError, TypeError):
            question = Question(**{**body, "owner": Owner(**body["owner"])})
            if question.id == name and question.owner.lives:
                return question
        self.remove(name)
        return None

    def answer(self, name: str, answer: Answer) -> None:
        """Answer a question. Raises AnsweredError where one answer is there."""
        asking = self._path(name, "question").stat()
        try:
            write(self._path(name, "answer"), asdict(answer), (asking.st_uid, asking.st_gid))
        except FileExistsError:
            raise AnsweredError(f"{name} is answered already") from None

    def answer_to(self, name: str) -> Answer | None:
        """The answer; None while there is none that counts."""
        body = read(self._path(name, "answer"))
        with suppress(TypeError):
            return None if body is None else Answer(**body)
        return None

    def remove(self, name: str) -> None:
        for kind in ("question", "answer"):
            self._path(name, kind).unlink(missing_ok=True)

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{name}.{kind}"


def write(
    path: Path,
    body: Mapping[str, Any],
    owner: tuple[int, int] | None = None,
    *,
    replace: bool = False,
) -> None:
    """Write a file that is never seen unfinished. Raises FileExistsError unless it may replace.

    What root writes for another user becomes that `owner`'s, who could not read it otherwise.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(body, file)
            if owner is not None and os.geteuid() == 0:
                os.fchown(file.fileno(), *owner)
        if replace:
            draft.rename(path)
        else:
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path, *, anybody: bool = False) -> dict[str, Any] | None:
    """A file's object; None where there is none, or where it is neither this user's nor root's."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not anybody and os.fstat(handle).st_uid not in (os.geteuid(), 0):
                return None
            body = json.loads(file.read(FILE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _started(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc_pid_stat(5)); 0 where there is no such process, or only
    what its parent has not waited for."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in b"ZX" else int(fields[19])
