"""The base of every mapping of the policy language, and what all its rules have in common."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from firewall.policy.errors import Fault

_RULE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Strict(BaseModel):
    """No unknown keys, no conversions: what is written is what is meant."""

    # A document is made of models inside models, whose checks are built once, for the whole.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, defer_build=True
    )


def says(text: str) -> Any:
    """What a key is for: editors show it, and the reference."""
    return Field(description=text)


def section() -> Any:
    """A section that need not be written, and is then as an empty one.

    It is made by the checks of the whole document: its class alone would have them built again, for
    all sections in a fiftieth of a second of every start.
    """
    return Field(default_factory=dict, validate_default=True)


def _rule_name(text: str) -> str:
    if not _RULE_NAME.fullmatch(text):
        normal = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
        raise Fault(f"{text!r} is not a rule's name", normal or "a name such as github-read")
    if text in ("default", "names", "messages"):
        raise Fault(f"the name {text!r} is taken: verdicts use it", f"{text}-rule")
    return text


RuleName = Annotated[str, AfterValidator(_rule_name)]
