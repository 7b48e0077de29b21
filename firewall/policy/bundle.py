"""A policy in one signed file: all that it extends and its lists, as their authors wrote them.

A signed note (firewall.notes) whose text is two lines, a title and JSON:

    agent-firewall policy bundle v1
    {"name": "coding", "version": 7, "created": "2026-11-26T12:00:00Z", "expires": null,
     "files": [["base.yaml", "version: 1\\n..."], ...], "lists": [["mining", "pools.txt", "..."]]}

`files` stand in the order in which they count, what is extended first; their `extends` is not
followed again. `from:` stays as it is written: every machine reads its own tools' settings.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from firewall.notes import Key, Note
from firewall.policy.errors import PolicyError, Problem
from firewall.policy.strict import RuleName, Strict

TITLE = "agent-firewall policy bundle v1"
SIZE_LIMIT = 64 << 20
"""Bytes of a bundle: a list of a million names fits."""
KEY_VARIABLE = "FIREWALL_POLICY_KEY"
VERSION_VARIABLE = "FIREWALL_POLICY_VERSION"
_MAKE = "firewall policy bundle POLICY --key FILE"


class Contents(Strict):
    """What a bundle says. A higher version follows a lower one of the same name."""

    name: RuleName
    version: Annotated[int, Field(ge=1)]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    files: list[tuple[str, str]] = Field(min_length=1)
    lists: list[tuple[str, str, str]] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was read; `note` has its signatures, which nobody has checked yet."""

    path: Path
    contents: Contents
    note: Note

    @property
    def signers(self) -> str:
        """The keys that it claims to be signed by, as NAME+ID."""
        return ", ".join(f"{name}+{id_.hex()}" for name, id_, _ in self.note.signatures)


def read_bundle(path: Path) -> Bundle | None:
    """The bundle in a file; None where it holds none. Raises PolicyError for a damaged one."""
    head = TITLE.encode() + b"\n"
    try:
        with path.open("rb") as file:
            data = file.read(len(head))
            if data != head:
                return None
            data += file.read(SIZE_LIMIT)
    except OSError:
        return None  # told by who reads it as a policy
    try:
        note = Note.parse(data.decode())
        return Bundle(path, Contents.model_validate_json(note.text[len(head) :]), note)
    except (ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise PolicyError([Problem(str(path), 1, f"a damaged bundle: {why}", _MAKE)]) from None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature a policy must have, of which version it must be at least, and, where one is
    in force, of which name.

    Without keys any policy is taken, signed or not.
    """

    keys: tuple[Key, ...] = ()
    least: int = 0
    name: str = ""

    @classmethod
    def required(cls, environment: Mapping[str, str] = os.environ) -> "Trust":
        """What this machine asks for: keys, or files of them, with commas between; a number.

        Raises PolicyError where that cannot be read.
        """
        asked = environment.get(KEY_VARIABLE, "")
        texts = asked.split(",") if asked else []
        least = environment.get(VERSION_VARIABLE, "") or "0"
        if not least.isdecimal():
            what = f"{VERSION_VARIABLE}: {least!r} is no version"
            raise PolicyError([Problem("the environment", 1, what, "a number such as 7")])
        return cls(tuple(_key(text.strip()) for text in texts), int(least))

    def following(self, name: str, version: int) -> "Trust":
        """The same, and nothing but what follows a bundle that was in force; version 0 is none."""
        if not version:
            return self
        return replace(self, least=max(self.least, version), name=name)

    def accept(self, path: Path, bundle: Bundle | None, now: datetime | None = None) -> None:
        """Raise PolicyError for a policy that is not to be taken."""
        if fault := self._fault(bundle, now or datetime.now(UTC)):
            raise PolicyError([Problem(str(path), 1, *fault)])

    def _fault(self, bundle: Bundle | None, now: datetime) -> tuple[str, str] | None:
        if bundle is None:
            why = f"{KEY_VARIABLE} asks for it" if self.keys else f"version {self.least} was one"
            wanted = bool(self.keys or self.least)
            return (f"this is no signed bundle, and {why}", _MAKE) if wanted else None
        contents = bundle.contents
        if fault := self._unsigned(bundle):
            return fault
        if self.name and contents.name != self.name:
            other = f"it is the policy {contents.name}, and {self.name} is in force"
            return other, "its successor, or start the firewall anew"
        if contents.version < self.least:
            older = f"version {contents.version} is older than {self.least}, the least to be taken"
            return older, "the newest bundle"
        if contents.expires is not None and contents.expires <= now:
            return f"it expired on {contents.expires:%Y-%m-%d %H:%M} UTC", "a newer bundle"
        return None

    def _unsigned(self, bundle: Bundle) -> tuple[str, str] | None:
        standings = {bundle.note.standing(key) for key in self.keys}
        if not self.keys or "valid" in standings:
            return None
        if "invalid" in standings:
            return "the signature does not fit: it was changed after it was signed", _MAKE
        wanted = ", ".join(f"{key.name}+{key.id.hex()}" for key in self.keys)
        return f"it is signed by {bundle.signers or 'nobody'}, not by {wanted}", _MAKE


ANYTHING = Trust()
"""For who writes, tests and compares policies, and enforces none."""


def _key(text: str) -> Key:
    """A public key, or one from a file. Raises PolicyError."""
    try:
        return Key.parse(text if "+" in text else Path(text).read_text().strip())
    except (OSError, ValueError) as error:
        what = f"{KEY_VARIABLE}: {error}"
        write = "NAME+ID+KEY, or the file that holds it"
        raise PolicyError([Problem("the environment", 1, what, write)]) from None
