"""The vendors' own clients read a rewritten answer: the refusal as text, the calls that passed."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.unit.toolcalls.wire.answers import (
    REFUSAL,
    anthropic_stream,
    chat_stream,
    gemini_answer,
    gemini_call,
    refuse,
    response,
    responses_item,
    responses_stream,
    rewrite,
    sse,
)

type Tool = tuple[str, dict[str, Any]]

LS: Tool = ("ls", {"path": "/tmp"})
RM: Tool = ("rm", {"path": "/"})
CASES: list[tuple[tuple[Tool, ...], list[Tool]]] = [
    ((LS,), [LS]),
    ((RM,), []),
    ((LS, RM), [LS]),
    ((RM, LS), [LS]),
    ((LS, RM, LS), [LS, LS]),
]


class _Model(BaseHTTPRequestHandler):
    """Answers every request alike."""

    body: bytes
    content_type: str

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """Serves a body, rewritten by a judge who refuses rm; the server's URL."""
    with ExitStack() as servers:

        def serve(body: bytes, content_type: str = "text/event-stream") -> str:
            members = {
                "body": rewrite(body, refuse("rm"), content_type),
                "content_type": content_type,
            }
            server = ThreadingHTTPServer(("127.0.0.1", 0), type("Model", (_Model,), members))
            servers.enter_context(server)
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            servers.callback(thread.join)
            servers.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url=url, max_retries=0)


def gpt(url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=url, max_retries=0)


def blocks(message: anthropic.types.Message) -> tuple[str, list[tuple[str, Any]]]:
    said = "".join(each.text for each in message.content if each.type == "text")
    calls = [(each.name, each.input) for each in message.content if each.type == "tool_use"]
    return said, calls


def expect(said: str, calls: list[Any], tools: tuple[Tool, ...], passed: list[Tool]) -> None:
    assert calls == passed
    assert said.count(REFUSAL) == len(tools) - len(passed)


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_anthropic_streamed(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    client = claude(answering(anthropic_stream(*tools)))
    with client.messages.stream(model="claude", max_tokens=9, messages=[]) as stream:
        message = stream.get_final_message()
    expect(*blocks(message), tools, passed)
    assert message.stop_reason == ("tool_use" if passed else "end_turn")


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_anthropic_whole(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    content = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        for number, (name, given) in enumerate(tools)
    ]
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": content, "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    client = claude(answering(json.dumps(body).encode(), "application/json"))
    message = client.messages.create(model="claude", max_tokens=9, messages=[])
    expect(*blocks(message), tools, passed)
    assert message.stop_reason == ("tool_use" if passed else "end_turn")


@pytest.mark.parametrize(
    ("tools", "passed", "same_index"),
    [(*case, False) for case in CASES] + [(*case, True) for case in CASES if len(case[1]) < 2],
    ids=str,
)
def test_chat_streamed(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool], same_index: bool
) -> None:
    client = gpt(answering(chat_stream(*tools, same_index=same_index)))
    with client.chat.completions.stream(model="gpt", messages=[]) as stream:
        choice = stream.get_final_completion().choices[0]
    made = choice.message.tool_calls or []
    calls = [(each.function.name, json.loads(each.function.arguments)) for each in made]
    expect(choice.message.content or "", calls, tools, passed)
    assert choice.finish_reason == ("tool_calls" if passed else "stop")


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_chat_whole(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    made = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for name, given in tools
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    body = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }  # fmt: skip
    client = gpt(answering(json.dumps(body).encode(), "application/json"))
    choice = client.chat.completions.create(model="gpt", messages=[]).choices[0]
    functions = [each for each in choice.message.tool_calls or [] if each.type == "function"]
    calls = [(each.function.name, json.loads(each.function.arguments)) for each in functions]
    expect(choice.message.content or "", calls, tools, passed)
    assert choice.finish_reason == ("tool_calls" if passed else "stop")


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_responses_streamed(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    client = gpt(answering(responses_stream(*tools)))
    with client.responses.stream(model="gpt", input="x") as stream:
        numbers = [event.sequence_number for event in stream]
        final = stream.get_final_response()
    calls = [
        (each.name, json.loads(each.arguments))
        for each in final.output
        if each.type == "function_call"
    ]
    expect(final.output_text, calls, tools, passed)
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_responses_events_tell_the_refusal_as_they_would_a_message(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    client = gpt(answering(responses_stream(*tools)))
    said, calls, numbers = "", [], []
    for event in client.responses.create(model="gpt", input="x", stream=True):
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            said += event.delta
        elif event.type == "response.function_call_arguments.done":
            calls.append(json.loads(event.arguments))
    expect(said, calls, tools, [given for _, given in passed])  # type: ignore[misc]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_responses_whole(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool]
) -> None:
    output = [responses_item(number, *each) for number, each in enumerate(tools)]
    body = json.dumps(response("completed", output)).encode()
    final = gpt(answering(body, "application/json")).responses.create(model="gpt", input="x")
    calls = [
        (each.name, json.loads(each.arguments))
        for each in final.output
        if each.type == "function_call"
    ]
    expect(final.output_text, calls, tools, passed)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("tools", "passed"), CASES)
def test_gemini(
    answering: Callable[..., str], tools: tuple[Tool, ...], passed: list[Tool], streamed: bool
) -> None:
    answer = gemini_answer(*(gemini_call(*each) for each in tools))
    body, kind = (sse(answer), "text/event-stream") if streamed else (
        json.dumps(answer).encode(), "application/json",
    )  # fmt: skip
    options = types.HttpOptions(base_url=answering(body, kind))
    client = genai.Client(api_key="k", http_options=options)
    if streamed:
        found = list(client.models.generate_content_stream(model="gemini", contents="x"))
    else:
        found = [client.models.generate_content(model="gemini", contents="x")]
    parts = [
        part
        for each in found
        for candidate in each.candidates or ()
        if candidate.content
        for part in candidate.content.parts or ()
    ]
    calls = [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
    expect("".join(part.text or "" for part in parts), calls, tools, passed)
