"""What a person writes under `audit: redact:`: what is a secret here, besides what always is.

The sections of all files add up: nothing that one of them redacts is recorded.
"""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from firewall.policy.errors import Fault
from firewall.policy.jsonpaths import compile_regex
from firewall.policy.strict import Strict, section
from firewall.redaction import Terms

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        normal = re.sub(r"[^A-Za-z0-9._-]+", "", text.split(":", maxsplit=1)[0].strip("?&= "))
        raise Fault(f"{text!r} is not a name", normal or "a name, such as x-session")
    return text


def _pattern(text: str) -> str:
    if compile_regex(text).search("") is not None:
        what = f"{text!r} also matches the empty text, so it would be found everywhere"
        raise Fault(what, "one that matches at least one character")
    return text


NameText = Annotated[str, AfterValidator(_name)]
PatternText = Annotated[str, AfterValidator(_pattern)]


class RedactDocument(Strict):
    """Headers and query parameters by name, and regular expressions of RE2, whose values are
    replaced by a mark before anything is recorded, shown or told."""

    headers: list[NameText] = Field(default_factory=list)
    query: list[NameText] = Field(default_factory=list)
    patterns: list[PatternText] = Field(default_factory=list)


class AuditDocument(Strict):
    """Everything about what is recorded."""

    redact: RedactDocument = section()


def terms(documents: Iterable[AuditDocument]) -> Terms:
    """What all files together want redacted."""
    found = [each.redact for each in documents]
    return Terms(
        tuple(dict.fromkeys(name.lower() for each in found for name in each.headers)),
        tuple(dict.fromkeys(name.lower() for each in found for name in each.query)),
        tuple(dict.fromkeys(text for each in found for text in each.patterns)),
    )
