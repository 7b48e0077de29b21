"""A loaded policy: what everyone else sees of this room."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from firewall.actor import Actor
from firewall.credentials import Injection, Secret, Watched
from firewall.deeds import NOTHING, Did, Past
from firewall.policy.bundle import Trust
from firewall.policy.decide import Decider
from firewall.policy.loading import load
from firewall.policy.resolved import Resolved
from firewall.policy.rules import Rule
from firewall.policy.ssh import SshTerms
from firewall.redaction import Terms
from firewall.requests import HttpRequest, Request
from firewall.verdict import Limit, Verdict
from firewall.workloads import GpuPolicy


class Policy:
    """Decides requests. Immutable; equal digests decide alike.

    `labels` are those of the run that it is loaded for, `dated` says whether a rule has dates.
    `names` maps pinned names to address text, `sources` lists the policy files read and `files`
    those with the lists they name; `notes` says what people should know (tools that are not
    installed, unknown file hosts), `on_critical` what follows a critical block: never more than an
    alert under `mode: observe`. `execute_from` are the folders that programs may be executed from
    (none: anywhere), `command_arguments` says which argument of which tool is a command, besides
    those that are known, and `remembers` which deeds its rules refer to. `gpu` says what may use
    the GPUs, `limits` what may pass within a time, `redaction` what is a secret here and never
    recorded, `secrets` what the firewall holds for the agent, and `watched` what else must not
    leave. `version` is a bundle's (0: it is none).
    """

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.name: str = resolved.name
        self.digest: str = resolved.digest()
        self.version: int = resolved.version
        self.labels: Mapping[str, str] = MappingProxyType(resolved.labels)
        self.dated: bool = any(rule.valid for rule in resolved.all_rules)
        self.mode: Literal["enforce", "observe"] = resolved.mode
        self.names: Mapping[str, str] = MappingProxyType(resolved.names)
        self.sources: tuple[Path, ...] = tuple(Path(source) for source in resolved.sources)
        lists = (Path(each.path) for each in resolved.lists)
        self.files: tuple[Path, ...] = (*self.sources, *lists)
        self.notes: tuple[str, ...] = resolved.notes
        guard = resolved.guards.get("on-critical") if self.mode == "enforce" else None
        self.on_critical = guard.action if guard else "alert"
        self.execute_from: tuple[str, ...] = resolved.shell.execute_from
        self.command_arguments: Mapping[str, str] = MappingProxyType(resolved.tools.commands)
        self.gpu: GpuPolicy = resolved.gpu
        self.redaction: Terms = resolved.redaction
        self.watched: Watched = resolved.watched
        self.remembers: frozenset[Did] = resolved.remembers()
        whole = (each for rule in resolved.rules for each in rule.limits)
        self.limits: tuple[Limit, ...] = tuple(dict.fromkeys((*resolved.limits, *whole)))
        self._injections = {each.name: each.inject for each in resolved.rules if each.inject}
        self.secrets: tuple[Secret, ...] = _secrets(self._injections.values())
        self._decider = Decider(resolved, self.digest)
        self._reads_bodies = any(Rule(rule).reads_bodies for rule in resolved.rules)

    def decide(self, request: Request, actor: Actor, past: Past = NOTHING) -> Verdict:
        """Judge one request, `past` being what was done before it. Pure: no I/O, no clock; never
        raises for what a client can send."""
        return self._decider.decide(request, actor, past)

    def facts(self) -> dict[str, object]:
        """What a record says of the policy in force."""
        bundle = {"version": self.version, "signers": self.resolved.signers}
        return {"name": self.name, "digest": self.digest, **(bundle if self.version else {})}

    def reads(self, request: HttpRequest) -> bool:
        """Whether a rule would judge what the body of the request asks (`HttpRequest.calls`)."""
        return self._reads_bodies and self._decider.reads(request)

    def standing(self) -> dict[str, object]:
        """What whoever asks is told of the policy in force, and the file that it came from."""
        file = str(self.sources[-1].absolute()) if self.sources else ""
        return {"policy": self.name, "version": self.version, "digest": self.digest, "file": file}

    def ssh_terms(self, rule: str) -> SshTerms | None:
        """What a rule of this name says about SSH; None where it says nothing."""
        found = (each.ssh for each in self.resolved.rules if each.name == rule)
        return next(found, None)

    def labelled(self, labels: Mapping[str, str]) -> "Policy":
        """The same policy for a run with other labels."""
        return Policy(self.resolved.model_copy(update={"labels": dict(labels)}))

    def injections(self, rules: Iterable[str]) -> tuple[Injection, ...]:
        """What the rules of these names set in requests. Raises KeyError where one sets nothing."""
        return tuple(dict.fromkeys(each for name in rules for each in self._injections[name]))

    def dump(self) -> str:
        """The fully resolved form as JSON."""
        return self.resolved.model_dump_json()

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """The policy that `dump` wrote, with the same digest. Raises ValueError for other text."""
        return cls(Resolved.model_validate_json(text))


def _secrets(injections: Iterable[tuple[Injection, ...]]) -> tuple[Secret, ...]:
    """Every secret once: that of one name is the same in all rules."""
    found = (secret for rule in injections for each in rule for secret in each.secrets)
    return tuple({each.name: each for each in found}.values())


def load_policy(
    path: Path | str, labels: Mapping[str, str] | None = None, *, trust: Trust | None = None
) -> Policy:
    """Load a policy file, a bundle, or a preset by name ("coding-agent"), for a run with these
    labels.

    `trust` is what is asked of its signature; by default what this machine's environment asks
    (bundle.Trust.required). Raises PolicyError with all problems, each "file:line: what; write:
    ...".
    """
    return Policy(load(path, labels, trust=trust))
