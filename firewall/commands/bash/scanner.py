"""Characters of shell text: where we are, what comes next, and how much work is left."""

import re

from firewall.commands.bash.syntax import HereDocument, Unreadable

_JOINS = re.compile(r"(?:\\\n)+")
_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")

DEPTH = 40
"""Nesting beyond this is not read. People nest five deep; Python's stack holds ten times this."""

WORK = 40
"""Steps allowed per character: reading is linear, but for `((`, which may be read twice."""

EXCERPT = 200


class Scanner:
    """A position in a text. Bash joins lines at a backslash before it looks at anything else."""

    def __init__(self, text: str, outer: "Scanner | None" = None) -> None:
        self.text = text
        self.at = 0
        self.depth: int = outer.depth if outer else 0
        self.pending: list[HereDocument] = []
        self.work: list[int] = outer.work if outer else [WORK * len(text) + 1000]

    def error(self, why: str) -> Unreadable:
        start = max(0, self.at - EXCERPT // 2)
        return Unreadable(why, self.text[start : start + EXCERPT])

    def step(self, cost: int = 1) -> None:
        self.work[0] -= cost
        if self.work[0] < 0:
            raise self.error("shell text takes too long to read")

    def enter(self) -> None:
        self.step()
        self.depth += 1
        if self.depth > DEPTH:
            raise self.error("shell text is nested too deeply")

    def leave(self) -> None:
        self.depth -= 1

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def take(self, expected: str) -> bool:
        """Move past `expected`, if it comes next."""
        if not self.text.startswith(expected, self.at):
            return False
        self.at += len(expected)
        return True

    def match(self, pattern: re.Pattern[str]) -> str:
        """Move past what matches here; "" where nothing does."""
        found = pattern.match(self.text, self.at)
        if not found:
            return ""
        self.step()
        self.at = found.end()
        return found[0]

    def joins(self) -> None:
        self.match(_JOINS)

    def blanks(self) -> None:
        """Spaces, tabs and a comment: what stands between two words."""
        self.match(_BLANKS)
        if self.peek() == "#":
            self.match(_COMMENT)

    def inside(self, text: str) -> None:
        """A line's end within quotes would leave open where a here-document's body starts."""
        if self.pending and "\n" in text:
            raise self.error("a here-document starts before a quoted line ends")
