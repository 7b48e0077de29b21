"""OpenAI Agents SDK: a guardrail that asks before a function tool is called."""

from agents import ToolGuardrailFunctionOutput, ToolInputGuardrail, ToolInputGuardrailData

from firewall.toolcalls.python.api import Firewall
from firewall.toolcalls.wire.judging import arguments


def tool_guardrail(firewall: Firewall) -> ToolInputGuardrail:
    """For `function_tool(..., tool_input_guardrails=[tool_guardrail(firewall)])`.

    A call that is not allowed is rejected with a text for the model. The SDK runs guardrails for
    function tools alone: its shell and computer tools, and hosted ones, need another road.
    """

    async def judge(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        context = data.context
        answer = await firewall.acheck(
            context.tool_name,
            arguments(context.tool_arguments),
            call_id=context.tool_call_id,
            agent="openai-agents",
        )
        if answer.allowed:
            return ToolGuardrailFunctionOutput.allow()
        return ToolGuardrailFunctionOutput.reject_content(answer.text or answer.reason)

    return ToolInputGuardrail(guardrail_function=judge, name="firewall")
