"""The resolved form of a policy: after `extends` and `from:`, all defaults written out.

This is what decides, what the digest covers, and what travels to other processes as JSON.
"""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from firewall.credentials import Injection, Watched
from firewall.deeds import Did
from firewall.policy.acts import Choice, ExactCall, ExactRun, OpaqueChoice
from firewall.policy.after import After
from firewall.policy.document import CriticalAction, DenyKind, GuardAction, RequestRule
from firewall.policy.holding import Validity
from firewall.policy.jsonpaths import Where
from firewall.policy.ssh import SshTerms
from firewall.redaction import Terms
from firewall.verdict import Limit
from firewall.workloads import GpuPolicy


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Held(_Frozen):
    """What all rules have: when and where each holds, who answers for it, and where it stands."""

    valid: Validity | None = None
    labels: dict[str, tuple[str, ...]] = {}
    owner: str = ""
    reason: str = ""
    source: str


class ResolvedRule(_Held):
    """A rule with its hosts and ports filled in. No ports means every port (denies only).

    `trusted` relays SSH unread; `ssh` says what may be asked for inside it. `secrets` excuses
    secrets in what it allows.
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
    tool_calls: bool = False
    inject: tuple[Injection, ...] = ()
    limits: tuple[Limit, ...] = ()
    secrets: bool = False
    after: After | None = None


class ResolvedProgramRule(_Held):
    """A rule of `shell.rules`; no programs (None) means any."""

    name: str
    action: Choice
    programs: tuple[str, ...] | None
    arguments: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    exactly: ExactRun | None = None
    after: After | None = None


class ResolvedToolRule(_Held):
    """A rule of `tools.rules`; no tools (None) means any."""

    name: str
    action: Choice
    tools: tuple[str, ...] | None
    where: Where | None = None
    exactly: ExactCall | None = None
    after: After | None = None


class ResolvedShell(_Frozen):
    """Everything about programs; `default_source` is where the default is written."""

    default: Choice = "allow"
    default_source: str = ""
    opaque: OpaqueChoice = "leave-to-exec-gate"
    opaque_source: str = ""
    execute_from: tuple[str, ...] = ()
    rules: tuple[ResolvedProgramRule, ...] = ()


class ResolvedTools(_Frozen):
    """Everything about tools."""

    default: Choice = "allow"
    default_source: str = ""
    commands: dict[str, str] = {}
    rules: tuple[ResolvedToolRule, ...] = ()


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
    """A whole policy, for a run with these `labels`. `version` and `signers` are a bundle's (0 and
    "" for other policies).

    What is for people is outside the digest: `sources`, `learned`, `notes`, and those two.
    """

    name: str
    mode: Literal["enforce", "observe"]
    labels: dict[str, str] = {}
    names: dict[str, str]
    guards: dict[str, Guard]
    rules: tuple[ResolvedRule, ...]
    limits: tuple[Limit, ...] = ()
    shell: ResolvedShell = Field(default_factory=ResolvedShell)
    tools: ResolvedTools = Field(default_factory=ResolvedTools)
    gpu: GpuPolicy = GpuPolicy()
    lists: tuple[ResolvedList, ...] = ()
    redaction: Terms = Terms()
    watched: Watched = Watched()
    version: int = 0
    signers: str = ""
    sources: tuple[str, ...] = ()
    learned: tuple[Learned, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all_rules(self) -> tuple[ResolvedRule | ResolvedProgramRule | ResolvedToolRule, ...]:
        """The rules of all sections."""
        return (*self.rules, *self.shell.rules, *self.tools.rules)

    def remembers(self) -> frozenset[Did]:
        """The kinds of deeds that rules refer to."""
        return frozenset(rule.after.did for rule in self.all_rules if rule.after)

    def digest(self) -> str:
        """SHA-256 (hex) of everything that decides, as canonical JSON."""
        body = self.model_dump(
            mode="json",
            exclude={
                "version": True, "signers": True, "sources": True, "learned": True, "notes": True,
                "lists": {"__all__": {"path"}},
            },
        )  # fmt: skip
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
