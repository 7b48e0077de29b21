"""Answers of model APIs as their references show them, and a judge for their calls."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.wire import Rewriter, rewriter_for

REFUSAL = "Blocked by the firewall: no\nrule: r"

type Judge = Callable[[Call], str | None]


def refuse(*tools: str) -> Judge:
    """Refuses these tools and lets the others pass."""
    return lambda call: REFUSAL if call.tool in tools else None


def drive(rewriter: Rewriter, pieces: Iterable[bytes], judge: Judge) -> bytes:
    """What the client gets of an answer that arrives in pieces."""
    out = b""
    for steps in (*(rewriter.feed(each) for each in pieces), rewriter.finish()):
        answer = None
        try:
            while True:
                step = steps.send(answer)
                answer = judge(step) if isinstance(step, Call) else None
                out += step if isinstance(step, bytes) else b""
        except StopIteration:
            continue
    return out


def rewrite(body: bytes, judge: Judge, content_type: str = "text/event-stream") -> bytes:
    return drive(rewriter_for(content_type), [body], judge)


def sse(*documents: Any, named: bool = False, done: bool = False) -> bytes:
    """A stream of events, with their types as names where `named`."""
    events = []
    for each in documents:
        name = f"event: {each['type']}\n" if named else ""
        events.append(f"{name}data: {json.dumps(each)}\n\n")
    return "".join([*events, "data: [DONE]\n\n" if done else ""]).encode()


def documents(stream: bytes) -> list[Any]:
    lines = [line for line in stream.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def anthropic_stream(*tools: tuple[str, dict[str, Any]], stop: str = "tool_use") -> bytes:
    """A text block, then a tool_use block for each tool."""
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "I will look."},
        },
        {"type": "content_block_stop", "index": 0},
    ]
    for index, (name, given) in enumerate(tools, 1):
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        text = json.dumps(given)
        for part in ("", text[:5], text[5:]):
            piece = {"type": "input_json_delta", "partial_json": part}
            events.append({"type": "content_block_delta", "index": index, "delta": piece})
        events.append({"type": "content_block_stop", "index": index})
    delta: dict[str, Any] = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
    events.append({"type": "message_stop"})
    return sse(*events, named=True)


def chat_stream(*tools: tuple[str, dict[str, Any]], same_index: bool = False) -> bytes:
    """Some text, then calls in pieces, as Chat Completions sends them."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt",
            "choices": [choice],
        }  # fmt: skip

    chunks = [chunk({"role": "assistant", "content": None}), chunk({"content": "I will look."})]
    for number, (name, given) in enumerate(tools):
        index = 0 if same_index else number
        text = json.dumps(given)
        opening = {
            "index": index, "id": f"call_{number}", "type": "function",
            "function": {"name": name, "arguments": ""},
        }  # fmt: skip
        chunks.append(chunk({"tool_calls": [opening]}))
        for part in (text[:5], text[5:]):
            piece = {"index": index, "function": {"arguments": part}}
            chunks.append(chunk({"tool_calls": [piece]}))
    chunks.append(chunk({}, "tool_calls" if tools else "stop"))
    return sse(*chunks, done=True)


def responses_item(number: int, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"fc_{number}", "type": "function_call", "status": "completed",
        "call_id": f"call_{number}", "name": name, "arguments": json.dumps(given),
    }  # fmt: skip


def response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "gpt",
        "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
        "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip


def responses_stream(*tools: tuple[str, dict[str, Any]]) -> bytes:
    """A function call for each tool, as the Responses API streams them."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("in_progress", [])}
    ]
    done = [responses_item(number, *each) for number, each in enumerate(tools)]
    for place, item in enumerate(done):
        opening = {**item, "status": "in_progress", "arguments": ""}
        at = {"item_id": item["id"], "output_index": place}
        text = item["arguments"]
        events += [
            {"type": "response.output_item.added", "output_index": place, "item": opening},
            {"type": "response.function_call_arguments.delta", **at, "delta": text[:5]},
            {"type": "response.function_call_arguments.delta", **at, "delta": text[5:]},
            {
                "type": "response.function_call_arguments.done",
                **at,
                "arguments": text,
                "name": item["name"],
            },
            {"type": "response.output_item.done", "output_index": place, "item": item},
        ]
    events.append({"type": "response.completed", "response": response("completed", done)})
    numbered = ({**each, "sequence_number": number} for number, each in enumerate(events))
    return sse(*numbered, named=True)


def gemini_answer(*parts: dict[str, Any]) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "gemini",
    }


def gemini_call(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": given}, "thoughtSignature": "c2ln"}
