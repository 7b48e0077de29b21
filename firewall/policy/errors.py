"""What a person reads when a policy cannot be used."""

from collections.abc import Iterable

from firewall.frozen import frozen


class Fault(ValueError):  # noqa: N818, it never leaves this room: Problem tells of it
    """One value is wrong: `what` says how, `write` what to put instead."""

    def __init__(self, what: str, write: str) -> None:
        super().__init__(f"{what}; write: {write}")
        self.what = what
        self.write = write


@frozen
class Problem:
    """A fault and where it stands. Lines count from 1."""

    file: str
    line: int
    what: str
    write: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; write: {self.write}"


class PolicyError(Exception):
    """The policy is refused; `problems` holds every reason found, in reading order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
