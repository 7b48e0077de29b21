"""What was decided about a request, by which rule, and why."""

from dataclasses import field
from enum import StrEnum
from typing import Literal

from firewall.frozen import frozen


class Action(StrEnum):
    """`ASK` leaves it to a person, and is no allow until one has said so."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


type Measure = Literal["sent", "received", "requests", "connections", "names"]
type Per = Literal["rule", "host", "program", "sandbox"]


@frozen
class Limit:
    """How much of something may pass within any `seconds`.

    `rule` names the rule that says so; "" stands for all of the network. `per` is what counts for
    itself: the rule as a whole, or each host, program or sandbox. `amount` is in bytes of what is
    `sent` and `received`, else a number. `written` is how the policy puts it ("50MB/h"), `source`
    where.
    """

    rule: str
    measure: Measure
    amount: int
    seconds: int
    per: Per
    written: str
    source: str = ""

    @property
    def name(self) -> str:
        """What verdicts call it that it has refused: no rule can have such a name."""
        return f"limits.{self.rule}" if self.rule else "network.limits"

    def __str__(self) -> str:
        """As the policy's tests name it: "sent 50MB/h per host"."""
        per = "" if self.per == "rule" else f" per {self.per}"
        return f"{self.measure} {self.written}{per}"


def by_limit(rule: str) -> bool:
    """Whether it was a limit that refused, by what a verdict calls its rule."""
    return rule == "network.limits" or rule.startswith("limits.")


@frozen
class Obligations:
    """What whoever carries out an allow must do with the flow.

    `tls`: terminate and inspect it, or pass it through unread. `ssh`: end it at the gateway, which
    judges every channel, or relay it unread, tunnels inside it included; "none" where the rule is
    for something else. `tool_calls`: judge the tool calls in a model API's answers. `inject`: put
    the credentials of these rules into the request. `limits`: stop it once one of these is reached.
    """

    tls: Literal["inspect", "passthrough"] = "inspect"
    ssh: Literal["none", "gateway", "relay"] = "none"
    tool_calls: bool = False
    inject: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def deep(self) -> bool:
        """Whether requests or answers are changed on the way, which the depth process does."""
        return self.tool_calls or bool(self.inject)


@frozen
class Verdict:
    """The answer to one request.

    `rule` names the policy's rule ("github-read", "guards.mining", "default"), `source` where it
    stands ("coding-agent.yaml:12"), `reason` why it applies and `remedy` what to change if the
    request was right. `owner` answers for that rule, or for the one that came nearest. `enforced`
    is False under `mode: observe`: the action is what would have been done. `wait` is after how
    many seconds the same may be allowed, where that is a matter of time (0: it is none).
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
    wait: int = 0

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.action is Action.ALLOW or not self.enforced
