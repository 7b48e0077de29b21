"""A policy in one signed file: all that it extends and its lists, as their authors wrote them.

A signed note (firewall.notes) whose text is two lines, a title and JSON:

    agent-firewall policy bundle v1
    {"name": "coding", "version": 7, "created": "2026-11-26T12:00:00Z", "expires": null,
     "files": [["base.yaml", "version: 1\\n..."], ...], "lists": [["mining", "pools.txt", "..."]]}

`files` stand in the order in which they count, what is extended first; their `extends` is not
followed again. `from:` stays as it is written: every machine reads its own tools' settings. Where
the bundle is for some machines only, `"audience": ["training", ...]` names their groups.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from firewall.frozen import frozen
from firewall.notes import Key, Note
from firewall.policy.errors import PolicyError, Problem
from firewall.policy.strict import RuleName, Strict

TITLE = "agent-firewall policy bundle v1"
_HEAD = TITLE.encode() + b"\n"
SIZE_LIMIT = 64 << 20
"""Bytes of a bundle: a list of a million names fits."""
KEY_VARIABLE = "FIREWALL_POLICY_KEY"
VERSION_VARIABLE = "FIREWALL_POLICY_VERSION"
AUDIENCE_VARIABLE = "FIREWALL_POLICY_AUDIENCE"
_MAKE = "firewall policy bundle POLICY --key FILE"
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")


def group(text: str) -> str:
    """The name of a group of machines. Raises ValueError for what is none."""
    if not _GROUP.fullmatch(text):
        raise ValueError(f"group {text!r}: write 1 to 64 letters, digits, '_' or '-'")
    return text


type Group = Annotated[str, AfterValidator(group)]


class Contents(Strict):
    """What a bundle says. A higher version follows a lower one of the same name.

    Without an `audience` it is for every machine that asks for none.
    """

    name: RuleName
    version: Annotated[int, Field(ge=1)]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    files: list[tuple[str, str]] = Field(min_length=1)
    lists: list[tuple[str, str, str]] = Field(default_factory=list)
    audience: list[Group] = Field(default_factory=list)

    def text(self) -> str:
        """The text that is signed. Firewalls that know no audience read one without it."""
        unwritten = set() if self.audience else {"audience"}
        return f"{TITLE}\n{self.model_dump_json(exclude=unwritten)}\n"


@frozen
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
    try:
        with path.open("rb") as file:
            data = file.read(len(_HEAD))
            if data != _HEAD:
                return None
            data += file.read(SIZE_LIMIT)
    except OSError:
        return None  # told by who reads it as a policy
    return parse_bundle(data, path)


def parse_bundle(data: bytes, path: Path) -> Bundle | None:
    """The bundle in a file's bytes, as `read_bundle`."""
    if not data.startswith(_HEAD):
        return None
    try:
        note = Note.parse(data.decode())
        return Bundle(path, Contents.model_validate_json(note.text[len(_HEAD) :]), note)
    except (ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise PolicyError([Problem(str(path), 1, f"a damaged bundle: {why}", _MAKE)]) from None


@frozen
class Trust:
    """Whose signature a policy must have, of which version it must be at least, and for whom.

    Without keys any policy is taken, signed or not; without `group` one for any group.
    """

    keys: tuple[Key, ...] = ()
    least: int = 0
    group: str = ""

    @classmethod
    def required(cls, environment: Mapping[str, str] = os.environ) -> "Trust":
        """What this machine asks for: keys, or files of them, with commas between; a number; its
        group.

        Raises PolicyError where that cannot be read.
        """
        asked = environment.get(KEY_VARIABLE, "")
        texts = [each.strip() for each in asked.split(",") if each.strip()]
        if asked and not texts:
            what = f"{KEY_VARIABLE} is set, and names no key"
            raise PolicyError([Problem("the environment", 1, what, "the key, or no variable")])
        least = environment.get(VERSION_VARIABLE, "") or "0"
        if not least.isdecimal():
            what = f"{VERSION_VARIABLE}: {least!r} is no version"
            raise PolicyError([Problem("the environment", 1, what, "a number such as 7")])
        keys = tuple(map(_key, texts))
        return cls(keys, int(least), environment.get(AUDIENCE_VARIABLE, ""))

    def at_least(self, version: int) -> "Trust":
        """The same, and nothing older than a version that was in force."""
        return replace(self, least=max(self.least, version))

    def ours(self, bundle: Bundle) -> bool:
        """Whether one of the keys signed it for the group; it may be old or have expired."""
        meant = not self.group or self.group in bundle.contents.audience
        signed = any(bundle.note.standing(key) == "valid" for key in self.keys)
        return meant and (signed or not self.keys)

    def accept(self, path: Path, bundle: Bundle | None, now: datetime | None = None) -> None:
        """Raise PolicyError for a policy that is not to be taken."""
        if fault := self._fault(bundle, now or datetime.now(UTC)):
            raise PolicyError([Problem(str(path), 1, *fault)])

    def _fault(self, bundle: Bundle | None, now: datetime) -> tuple[str, str] | None:
        if bundle is None:
            why = self._wanted()
            return (f"this is no signed bundle, and {why}", _MAKE) if why else None
        contents = bundle.contents
        if fault := self._unsigned(bundle):
            return fault
        if contents.version < self.least:
            older = f"version {contents.version} is older than {self.least}, the least to be taken"
            return older, "the newest bundle"
        if self.group and self.group not in contents.audience:
            meant = f"for {', '.join(contents.audience) or 'no group'}, not for {self.group}"
            return f"it is {meant}", f"{_MAKE} --audience {self.group}"
        if contents.expires is not None and contents.expires <= now:
            return f"it expired on {contents.expires:%Y-%m-%d %H:%M} UTC", "a newer bundle"
        return None

    def _wanted(self) -> str:
        """Why a policy must be a bundle; nothing where it need not be."""
        if self.keys:
            return f"{KEY_VARIABLE} asks for it"
        if self.least:
            return f"version {self.least} was one"
        return f"{AUDIENCE_VARIABLE} asks for one" if self.group else ""

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
