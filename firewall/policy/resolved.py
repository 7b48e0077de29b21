"""The resolved form of a policy: after `extends` and `from:`, all defaults written out.

This is what decides, what the digest covers, and what travels to other processes as JSON.
"""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

from firewall.credentials import Injection
from firewall.deeds import Did
from firewall.policy.acts import Choice, ExactCall, ExactRun, OpaqueChoice
from firewall.policy.after import After
from firewall.policy.document import CriticalAction, DenyKind, GuardAction, RequestRule
from firewall.policy.jsonpaths import Where
from firewall.policy.ssh import SshTerms
from firewall.redaction import Terms
from firewall.workloads import GpuPolicy


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


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
    tool_calls: bool = False
    inject: tuple[Injection, ...] = ()
    after: After | None = None
    reason: str = ""
    source: str


class ResolvedProgramRule(_Frozen):
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
    reason: str = ""
    source: str


class ResolvedToolRule(_Frozen):
    """A rule of `tools.rules`; no tools (None) means any."""

    name: str
    action: Choice
    tools: tuple[str, ...] | None
    where: Where | None = None
    exactly: ExactCall | None = None
    after: After | None = None
    reason: str = ""
    source: str


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
    """A whole policy. `learned` and `notes` are for people and outside the digest, as `sources`."""

    name: str
    mode: Literal["enforce", "observe"]
    names: dict[str, str]
    guards: dict[str, Guard]
    rules: tuple[ResolvedRule, ...]
    shell: ResolvedShell = ResolvedShell()
    tools: ResolvedTools = ResolvedTools()
    gpu: GpuPolicy = GpuPolicy()
    lists: tuple[ResolvedList, ...] = ()
    redaction: Terms = Terms()
    sources: tuple[str, ...] = ()
    learned: tuple[Learned, ...] = ()
    notes: tuple[str, ...] = ()

    def remembers(self) -> frozenset[Did]:
        """The kinds of deeds that rules refer to."""
        network = (rule.after for rule in self.rules)
        shell = (rule.after for rule in self.shell.rules)
        tools = (rule.after for rule in self.tools.rules)
        return frozenset(after.did for after in (*network, *shell, *tools) if after)

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
