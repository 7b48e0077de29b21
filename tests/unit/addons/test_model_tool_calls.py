"""Tool calls in a model API's answers, judged on the wire: end to end on loopback."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from addons.model_tool_calls import addons
from firewall.requests import HttpRequest, Message, Request, ToolCall
from firewall.verdict import Action, Obligations, Severity, Verdict
from tests.unit.proxy.http.stage import ALLOW, Serve, Stage
from tests.unit.toolcalls.wire.answers import anthropic_stream, chat_stream, gemini_answer

READ = Verdict(
    Action.ALLOW, "model", "the model may be asked", obligations=Obligations(tool_calls=True)
)
NO_RM = Verdict(Action.DENY, "no-rm", "rm is denied", Severity.WARNING, "ask for less")
UNREAD = Verdict(Action.DENY, "guards.protocol-mismatch", "it cannot be read", Severity.WARNING)
LS, RM = ("ls", {"path": "/tmp"}), ("rm", {"path": "/secret"})


def policy(request: Request) -> Verdict:
    if isinstance(request, ToolCall):
        return NO_RM if request.tool == "rm" else ALLOW
    if isinstance(request, Message):
        return UNREAD
    return READ if isinstance(request, HttpRequest) else ALLOW


def reading(decide: Callable[[Request], Verdict] = policy) -> Stage:
    return Stage(decide, addons)


def model(
    body: bytes, kind: str = "text/event-stream", head: str = "", status: str = "200 OK"
) -> Serve:
    """A model that gives every request this answer, in two pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"\r\n\r\n" in await reader.read(65536):
            answer = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{head}"
            writer.write(f"{answer}Content-Length: {len(body)}\r\n\r\n".encode())
            writer.write(body[:50])
            await writer.drain()
            writer.write(body[50:])
            await writer.drain()

    return serve


@pytest.mark.parametrize("http2", [False, True])
def test_a_denied_call_is_replaced_by_its_refusal(http2: bool) -> None:
    with reading() as stage:
        door = stage.door(stage.upstream(model(anthropic_stream(LS, RM))).port)
        answer = stage.ask(door, "/v1/messages", http2=http2)
        assert "/tmp" in answer.text
        assert "/secret" not in answer.text
        assert "Blocked by the firewall: rm is denied\\nrule: no-rm" in answer.text
        assert "content-length" not in answer.headers
        calls = stage.verdicts("ToolCall")
    assert [(each["tool"], each["action"], each["agent"]) for each in calls] == [
        ("ls", "allow", "anthropic-messages"),
        ("rm", "deny", "anthropic-messages"),
    ]
    assert calls[1]["call_id"] == "toolu_2"


def test_without_the_obligation_nothing_is_read() -> None:
    body = anthropic_stream(RM)
    with reading(lambda _: ALLOW) as stage:
        door = stage.door(stage.upstream(model(body)).port)
        assert stage.ask(door, "/v1/messages").content == body
        assert stage.verdicts("ToolCall") == []


def test_what_passes_is_the_same_bytes() -> None:
    body = chat_stream(LS)
    with reading() as stage:
        door = stage.door(stage.upstream(model(body)).port)
        assert stage.ask(door, "/v1/chat/completions").content == body


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps(gemini_answer({"functionCall": {"name": "rm"}})).encode())
    with reading() as stage:
        serve = model(body, "application/json", "Content-Encoding: gzip\r\n")
        server = stage.upstream(serve)
        answer = stage.ask(stage.door(server.port), "/v1beta/models/g:generateContent")
        assert b"accept-encoding: identity" in server.received.lower()
    assert "functionCall" not in answer.text
    assert "rm is denied" in answer.text


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (model(b"x", "application/vnd.amazon.eventstream"), "cannot be read in an answer of type"),
        (model(b"x", head="Content-Encoding: odd\r\n"), "cannot be read in the encoding 'odd'"),
        (
            model(b"plain text", head="Content-Encoding: gzip\r\n"),
            "not in the encoding that it names",
        ),
        (model(b'{"a": [', "application/json"), "JSON in the answer that stands in no event"),
        (model(b"x", status="206 Partial Content"), "cannot be read in a part of an answer"),
        (model(b'data: {"type":"message_start"\n\n'), "an event of the answer is no JSON"),
    ],
)
def test_an_answer_that_cannot_be_read_is_blocked(serve: Any, why: str) -> None:
    with reading() as stage:
        door = stage.door(stage.upstream(serve).port)
        with pytest.raises(httpx.TransportError):
            stage.ask(door, "/v1/messages")
        (message,) = stage.verdicts("Message")
    (finding,) = message["findings"]
    assert (message["action"], message["direction"]) == ("deny", "received")
    assert (finding["kind"], finding["name"]) == ("protocol-mismatch", "model-answer")
    assert why in finding["evidence"]


def test_without_the_addon_the_answer_is_blocked() -> None:
    with Stage(policy) as stage:
        door = stage.door(stage.upstream(model(anthropic_stream(LS))).port)
        with pytest.raises(httpx.TransportError):
            stage.ask(door, "/v1/messages")
        assert "load addons/model_tool_calls.py" in stage.log.events[-1]["verdict"]["reason"]


@pytest.mark.parametrize("point", ["tool_calls", "egress_tool_call"])
def test_a_fault_gives_no_call_away(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == f"http.{point}":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    with reading() as stage:
        door = stage.door(stage.upstream(model(anthropic_stream(LS))).port)
        try:
            text = stage.ask(door, "/v1/messages").text
        except httpx.TransportError:
            text = ""
        assert "/tmp" not in text
        assert f"fail-closed.http.{point}" in stage.rules()
