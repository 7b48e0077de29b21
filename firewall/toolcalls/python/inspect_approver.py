"""inspect_ai: an approver that asks before a tool is called."""

from typing import Any

from inspect_ai.approval import Approval, Approver, approver

from firewall.toolcalls.python.api import Firewall


@approver(name="firewall")
def firewall_approver(firewall: Firewall | None = None) -> Approver:
    """For `ApprovalPolicy(firewall_approver(firewall), "*")`; by default it asks the service.

    A call that is not allowed is rejected, and the explanation goes to the model.
    """
    asked = firewall or Firewall()

    async def approve(message: str, call: Any, view: Any, history: Any) -> Approval:
        answer = await asked.acheck(
            call.function, call.arguments, call_id=call.id, agent="inspect_ai"
        )
        if answer.allowed:
            return Approval(decision="approve")
        return Approval(decision="reject", explanation=answer.text or answer.reason)

    return approve
