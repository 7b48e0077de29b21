"""LangChain: middleware that asks before a tool is called (langchain 1.x, AgentMiddleware)."""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.messages import ToolMessage

from firewall.toolcalls.client import Answer
from firewall.toolcalls.python.api import Firewall


class FirewallMiddleware(AgentMiddleware):
    """For `create_agent(..., middleware=[FirewallMiddleware(firewall)])`.

    A call that is not allowed gets a ToolMessage that says why, with the status "error".
    """

    def __init__(self, firewall: Firewall) -> None:
        super().__init__()
        self._firewall = firewall

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Call the tool where that is allowed."""
        call = request.tool_call
        answer = self._firewall.check(call["name"], call["args"], **_about(call))
        return handler(request) if answer.allowed else _refused(call, answer)

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """`wrap_tool_call` for asyncio."""
        call = request.tool_call
        answer = await self._firewall.acheck(call["name"], call["args"], **_about(call))
        return await handler(request) if answer.allowed else _refused(call, answer)


def _about(call: Any) -> dict[str, Any]:
    return {"call_id": call["id"], "agent": "langchain"}


def _refused(call: Any, answer: Answer) -> ToolMessage:
    text = answer.text or answer.reason
    return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")
