"""The wrappers inside the frameworks themselves, where these are installed (group frameworks)."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from firewall.toolcalls.client import Answer
from firewall.toolcalls.python import Firewall

pytestmark = pytest.mark.filterwarnings("ignore")


class Asked(Firewall):
    """Denies what mentions "rm", and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("")
        self.calls: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []

    def check(self, tool: str, arguments: Mapping[str, Any], **about: Any) -> Answer:
        self.calls.append((tool, dict(arguments), about))
        denied = "rm" in str(arguments)
        return Answer("deny", "no-rm", "no", text="Blocked: no rm") if denied else Answer("allow")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_langchain_reads_the_refusal_as_the_tools_message(asynchronous: bool) -> None:
    agents = pytest.importorskip("langchain.agents")
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    from firewall.toolcalls.python.langchain import FirewallMiddleware

    class Model(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    def call(command: str, key: str) -> Any:
        return AIMessage("", tool_calls=[{"name": "bash", "args": {"command": command}, "id": key}])

    ran: list[str] = []

    def bash(command: str) -> str:
        """Run a command."""
        ran.append(command)
        return "done"

    firewall = Asked()
    model = Model(messages=iter([call("ls", "c1"), call("rm x", "c2"), AIMessage("end")]))
    agent = agents.create_agent(model, [bash], middleware=[FirewallMiddleware(firewall)])
    given = {"messages": [("user", "go")]}
    result = asyncio.run(agent.ainvoke(given)) if asynchronous else agent.invoke(given)
    tools = [each for each in result["messages"] if each.type == "tool"]
    assert [(each.content, each.status, each.tool_call_id) for each in tools] == [
        ("done", "success", "c1"),
        ("Blocked: no rm", "error", "c2"),
    ]
    assert ran == ["ls"]
    about = {"call_id": "c1", "agent": "langchain"}
    assert firewall.calls[0] == ("bash", {"command": "ls"}, about)


def test_openai_agents_reads_the_refusal_as_the_tools_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    pytest.importorskip("agents")
    import agents
    from openai.types.responses import ResponseFunctionToolCall

    from firewall.toolcalls.python.openai_agents import tool_guardrail

    outputs: list[Any] = [
        ResponseFunctionToolCall(
            arguments=f'{{"command": "{command}"}}', call_id=key, name="bash", type="function_call"
        )
        for command, key in (("ls", "c1"), ("rm x", "c2"))
    ]

    class Model(agents.Model):
        turn = 0

        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            self.turn += 1
            if self.turn == 1:
                return agents.ModelResponse(outputs, agents.Usage(), None)
            raise RuntimeError(str(args[1] if len(args) > 1 else kwargs["input"]))

        def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    ran: list[str] = []

    async def bash(command: str) -> str:
        """Run a command."""
        ran.append(command)
        return "done"

    firewall = Asked()
    tool = agents.function_tool(bash, tool_input_guardrails=[tool_guardrail(firewall)])
    agent = agents.Agent(name="a", model=Model(), tools=[tool])
    with pytest.raises(RuntimeError, match="Blocked: no rm"):
        asyncio.run(agents.Runner.run(agent, "go"))
    assert ran == ["ls"]
    assert ("bash", {"command": "rm x"}, {"call_id": "c2", "agent": "openai-agents"}) in (
        firewall.calls
    )


def test_inspect_reads_the_explanation_of_a_rejection() -> None:
    pytest.importorskip("inspect_ai")
    from inspect_ai.approval import ApprovalPolicy
    from inspect_ai.model import ChatMessageAssistant, execute_tools
    from inspect_ai.tool import ToolCall, tool

    from firewall.toolcalls.python.inspect_approver import firewall_approver

    ran: list[str] = []

    @tool
    def bash() -> Any:
        async def execute(command: str) -> str:
            """Run a command.

            Args:
                command: What to run.
            """
            ran.append(command)
            return "done"

        return execute

    calls = [
        ToolCall(id=key, function="bash", arguments={"command": command})
        for command, key in (("ls", "c1"), ("rm x", "c2"))
    ]
    firewall = Asked()
    policy = ApprovalPolicy(firewall_approver(firewall), "*")
    message = ChatMessageAssistant(content="", tool_calls=calls)
    result = asyncio.run(execute_tools([message], [bash()], approval=[policy]))
    allowed, denied = result.messages
    assert (allowed.text, denied.error.type) == ("done", "approval")
    assert "Blocked: no rm" in denied.error.message
    assert ran == ["ls"]
    assert firewall.calls[0][2] == {"call_id": "c1", "agent": "inspect_ai"}
