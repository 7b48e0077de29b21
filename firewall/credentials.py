"""Secrets that the firewall holds for the agent, what becomes of the requests that need them, and
what else of the kind must not leave.

These values say which secret it is and where it is found, never what it is.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from firewall.frozen import frozen
from firewall.keyformats import NAMES

type Place = Literal["header", "query", "basic", "aws"]


@frozen
class Secret:
    """Where a secret is found, and how the agent knows it.

    `source` is "env:NAME", "file:/path" or "command:words". The agent has a placeholder for it in
    the environment variable `variable` ("": it has none), which begins with `looks_like`. `where`
    is the place in the policy ("agent.yaml:12").
    """

    source: str
    variable: str = ""
    looks_like: str = ""
    where: str = ""

    @property
    def name(self) -> str:
        """What people call it: the agent's variable, or where it is found."""
        return self.variable or self.source


@frozen
class Watched:
    """What must not leave, besides secrets that the firewall holds: texts of the `files` that the
    policy marks (patterns of paths), and keys of these `formats` (keyformats.FORMATS), but in
    requests to their homes and the `homes` of the policy, by format."""

    files: tuple[str, ...] = ()
    formats: tuple[str, ...] = NAMES
    homes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


KEYS_ALONE = Watched()
"""Keys of every format, and no files."""


@frozen
class Injection:
    """What is set in the requests of a rule.

    "header": the header `name`, to the secret behind `scheme`, if any; "query": the parameter
    `name`; "basic": Basic authentication of the user `name`. "aws": the request is signed anew with
    the access key, the secret key and, if there is a third secret, the session token.
    """

    place: Place
    secrets: tuple[Secret, ...]
    name: str = ""
    scheme: str = ""

    def holds(self, secret: str, place: str) -> bool:
        """Whether the placeholder of the secret of this name may stand at a place of a request
        ("header x-api-key", "query key")."""
        return any(each.name == secret for each in self.secrets) and place in self.places

    @property
    def places(self) -> tuple[str, ...]:
        """Where in a request it belongs, as `requests.Carried` has it."""
        match self.place:
            case "header":
                return (f"header {self.name.lower()}",)
            case "query":
                return (f"query {self.name}",)
            case "basic":
                return ("header authorization",)
            case "aws":
                return ("header authorization", "header x-amz-security-token")
