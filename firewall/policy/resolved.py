"""The resolved form of a policy: after `extends` and `from:`, all defaults written out.

This is what decides, what the digest covers, and what travels to other processes as JSON.
"""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

from firewall.policy.document import CriticalAction, DenyKind, GuardAction, RequestRule
from firewall.policy.ssh import SshTerms


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResolvedRule(_Frozen):
    """A rule with its hosts and ports filled in. No ports means every port (denies only).

    `trusted` relays SSH unread; `ssh` says what may be asked for inside it.
    """

    name: str
    action: Literal["allow", "deny"]
    kind: DenyKind
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    methods: tuple[str, ...] = ()
    requests: tuple[RequestRule, ...] = ()
    programs: tuple[str, ...] = ()
    tls: Literal["inspect", "passthrough"] = "inspect"
    addresses: tuple[str, ...] = ()
    trusted: bool = False
    ssh: SshTerms | None = None
    reason: str = ""
    source: str


class Guard(_Frozen):
    """What a guard does, and where that is written ("" where nothing is, and it blocks).

    Under "on-critical" stands what follows a critical block ("alert" where nothing is written).
    """

    action: GuardAction | CriticalAction = "block"
    source: str = ""


class ResolvedList(_Frozen):
    """A list of domains for a guard, each with the line it stands on. `path` is no part of it."""

    name: str
    path: str
    guard: str
    domains: dict[str, int]


class Learned(_Frozen):
    """A host that `from:` found, and how."""

    rule: str
    tool: str
    url: str
    why: str


class Resolved(_Frozen):
    """A whole policy. `learned` and `notes` are for people and outside the digest, as `sources`."""

    name: str
    mode: Literal["enforce", "observe"]
    names: dict[str, str]
    guards: dict[str, Guard]
    rules: tuple[ResolvedRule, ...]
    lists: tuple[ResolvedList, ...] = ()
    sources: tuple[str, ...] = ()
    learned: tuple[Learned, ...] = ()
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 (hex) of everything that decides, as canonical JSON."""
        body = self.model_dump(
            mode="json",
            exclude={
                "sources": True, "learned": True, "notes": True, "lists": {"__all__": {"path"}},
            },
        )  # fmt: skip
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
