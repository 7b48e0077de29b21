"""What was decided about a request, by which rule, and why."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Action(StrEnum):
    """`ASK` leaves it to a person, and is no allow until one has said so."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Obligations:
    """What whoever carries out an allow must do with the flow.

    `tls`: terminate and inspect it, or pass it through unread. `ssh`: end it at the gateway, which
    judges every channel, or relay it unread, tunnels inside it included; "none" where the rule is
    for something else. `tool_calls`: judge the tool calls in a model API's answers. `inject`: put
    the credentials of these rules into the request.
    """

    tls: Literal["inspect", "passthrough"] = "inspect"
    ssh: Literal["none", "gateway", "relay"] = "none"
    tool_calls: bool = False
    inject: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        """Whether requests or answers are changed on the way, which the depth process does."""
        return self.tool_calls or bool(self.inject)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request.

    `rule` names the policy's rule ("github-read", "guards.mining", "default"), `source` where it
    stands ("coding-agent.yaml:12"), `reason` why it applies and `remedy` what to change if the
    request was right. `owner` answers for that rule, or for the one that came nearest. `enforced`
    is False under `mode: observe`: the action is what would have been done.
    """

    action: Action
    rule: str
    reason: str
    severity: Severity = Severity.INFO
    remedy: str = ""
    source: str = ""
    obligations: Obligations = field(default_factory=Obligations)
    policy_digest: str = ""
    enforced: bool = True
    owner: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.action is Action.ALLOW or not self.enforced
