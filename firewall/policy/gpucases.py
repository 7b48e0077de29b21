"""GPU use in tests and explanations: is a process a declared workload, or which alert is it?

The answer is a verdict like all others: allow by the workload's name, or deny by the alert's, which
is raised once the process is busy for long enough. Nothing is refused by it.
"""

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, Field

from firewall.policy.errors import Fault
from firewall.policy.gpu import NumberedText, minute
from firewall.policy.gpuloading import uid_of
from firewall.policy.policy import Policy
from firewall.policy.strict import Strict
from firewall.verdict import Action, Verdict
from firewall.workloads import AlertName, Use, match

_EXAMPLE = '"gpu: /usr/bin/python3 train.py"'
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise Fault(f"{text!r} is no time of day", '"08:00"')
    return text


class GpuCase(Strict):
    """A process that uses a GPU. `at` is the local time; `user` a name or a number."""

    program: str = Field(min_length=1)
    arguments: str = ""
    container: str = ""
    sandbox: str = ""
    user: NumberedText | None = None
    device: NumberedText = "0"
    at: Annotated[str, AfterValidator(_time)] = "12:00"

    def use(self) -> Use:
        """As workloads are compared with it."""
        return Use(
            program=self.program,
            arguments=self.arguments,
            container=self.container,
            sandbox=self.sandbox,
            uid=uid_of(self.user),
            devices=(self.device,),
            minute=minute(self.at),
        )


def gpu_case(text: str) -> GpuCase | None:
    """The process of "gpu: /usr/bin/python3 train.py"; None for other texts. Raises Fault."""
    kind, colon, rest = text.partition(":")
    if kind != "gpu" or not colon:
        return None
    try:
        program, *arguments = shlex.split(rest)
    except ValueError:
        raise Fault(f"{text!r} names no program", _EXAMPLE) from None
    return GpuCase(program=program, arguments=" ".join(arguments))


def gpu_verdict(policy: Policy, use: Use) -> Verdict:
    """What a policy makes of a process that uses a GPU."""
    found = match(policy.gpu.workloads, use)
    if (declared := found.declared) is not None:
        told = f"it is the declared workload {declared.name}"
        return Verdict(
            Action.ALLOW, declared.name, told, source=declared.source, policy_digest=policy.digest
        )
    name: AlertName = "unexpected-sandbox" if found.misplaced else "unexpected-process"
    rule = next(each for each in policy.gpu.rules if each.name == name)
    alerted = found.workload is not None and rule.respond != "nothing"
    return Verdict(
        Action.DENY if alerted else Action.ALLOW,
        rule.full_name,
        found.why_not if alerted else f"{found.why_not}, so nothing is alerted",
        severity=rule.severity,
        remedy="declare it in gpu.expect" if alerted else "",
        source=rule.source,
        policy_digest=policy.digest,
    )
