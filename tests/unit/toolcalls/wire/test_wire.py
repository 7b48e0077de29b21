"""What is true of every API: what may pass is untouched, what may not never arrives."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.policy import jsonpaths
from firewall.toolcalls.calls import UNREADABLE, Call, request_of
from firewall.toolcalls.wire import UnreadableError, rewriter_for
from firewall.toolcalls.wire.rewriter import HELD_LIMIT
from tests.unit.toolcalls.wire.answers import (
    anthropic_stream,
    chat_stream,
    drive,
    gemini_answer,
    gemini_call,
    refuse,
    responses_stream,
    rewrite,
    sse,
)

type Tool = tuple[str, dict[str, Any]]

LS: Tool = ("ls", {"path": "/tmp"})
RM: Tool = ("rm", {"path": "/", "note": "secret-argument"})


def gemini_stream(*tools: Tool) -> bytes:
    return sse(
        gemini_answer({"text": "I will look."}), gemini_answer(*(gemini_call(*t) for t in tools))
    )


STREAMS: list[Callable[..., bytes]] = [
    anthropic_stream, chat_stream, responses_stream, gemini_stream,
]  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS)
def test_what_may_pass_is_untouched(stream: Callable[..., bytes]) -> None:
    body, asked = stream(LS, RM), list[Call]()
    assert rewrite(body, asked.append) == body
    assert [(each.tool, each.arguments) for each in asked] == [LS, RM]
    assert all(each.agent for each in asked)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("tools", [(RM,), (LS, RM), (RM, LS), (RM, LS, RM)])
def test_what_may_not_pass_never_arrives(
    stream: Callable[..., bytes], tools: tuple[Tool, ...]
) -> None:
    passed = rewrite(stream(*tools), refuse("rm"))
    assert b"secret-argument" not in passed
    assert b'"name": "rm"' not in passed
    assert b'"name":"rm"' not in passed
    assert passed.count(b"Blocked by the firewall") >= 1
    assert (b"/tmp" in passed.replace(b'\\"', b'"')) == (LS in tools)


@pytest.mark.parametrize("stream", STREAMS)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_it_is_the_same_however_it_arrives(stream: Callable[..., bytes], cuts: list[int]) -> None:
    body = stream(LS, RM)
    ends = [*sorted(cuts), len(body)]
    pieces = [body[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    rewriter = rewriter_for("text/event-stream; charset=utf-8")
    assert drive(rewriter, pieces, refuse("rm")) == rewrite(body, refuse("rm"))


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_breaks_off_gives_no_call_away(stream: Callable[..., bytes]) -> None:
    body = stream(RM)
    for end in range(0, len(body), 7):
        assert b"secret-argument" not in rewrite(body[:end], refuse("rm"))


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
@pytest.mark.parametrize("stream", STREAMS)
def test_every_line_ending_of_the_format_is_read(
    stream: Callable[..., bytes], newline: bytes
) -> None:
    body = b": keep-alive\n\n" + stream(RM)
    passed = rewrite(body.replace(b"\n", newline), refuse("rm"))
    assert b"secret-argument" not in passed
    assert passed.startswith(b": keep-alive")


def test_arguments_that_are_no_object_can_be_named_by_a_rule() -> None:
    asked: list[Call] = []
    body = chat_stream(("x", {})).replace(b'"arguments": "{}"', b'"arguments": "{oops"')
    rewrite(body, asked.append)
    assert asked[0].arguments in ({}, {UNREADABLE: "{oops"})


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"type":"message_start"\n\n',
        b'data: {"choices":[{"index":[],"delta":{"tool_calls":[{"index":0}]}}]}\n\n',
        b"data: " + b'{"choices":' * 100_000 + b"\n\n",
    ],
)
def test_an_event_that_cannot_be_read_ends_the_answer(body: bytes) -> None:
    with pytest.raises(UnreadableError, match="an event of the answer"):
        rewrite(body, refuse())


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for kind in ("text/event-stream", "application/json"):
        for data in (body, b'data: {"choices":[' + body + b"]}\n\n"):
            try:
                rewrite(data, refuse("rm"), kind)
            except UnreadableError:
                continue


def test_what_is_held_back_is_bounded() -> None:
    rewriter = rewriter_for("text/event-stream")
    with pytest.raises(UnreadableError, match=f"more than {HELD_LIMIT} bytes"):
        drive(rewriter, [b"data: x"] + [b"x" * (1 << 20)] * 17, refuse())


@pytest.mark.parametrize("kind", ["application/vnd.amazon.eventstream", "application/octet-stream"])
def test_an_answer_of_another_type_may_hide_calls(kind: str) -> None:
    with pytest.raises(UnreadableError, match="cannot be read"):
        rewriter_for(kind)


@pytest.mark.parametrize("kind", ["image/png", "audio/mpeg", "text/html; charset=utf-8"])
def test_some_answers_hold_no_calls(kind: str) -> None:
    assert rewrite(b'{"choices": []}', refuse(), kind) == b'{"choices": []}'


@pytest.mark.parametrize(
    "document", [{"data": [{"id": "gpt"}]}, {"error": {"type": "x"}}, [1], "x"]
)
def test_other_documents_pass(document: object) -> None:
    body = json.dumps(document).encode()
    assert rewrite(body, refuse("rm"), "application/json") == body


def test_a_stream_of_another_type_is_read_as_a_stream() -> None:
    for kind in ("text/plain", "application/json", ""):
        assert rewrite(chat_stream(LS), refuse("rm"), kind) == chat_stream(LS)
        assert b"secret-argument" not in rewrite(chat_stream(RM), refuse("rm"), kind)
    assert rewrite(b"a\n\nplain text", refuse(), "text/plain") == b"a\n\nplain text"


@pytest.mark.parametrize(
    "document",
    [
        {"model": "m", "message": {"role": "assistant", "tool_calls": [{"function": {}}]}},
        {"output": {"message": {"content": [{"toolUse": {"name": "rm"}}]}}},
        {"required_action": {"submit_tool_outputs": {"tool_calls": [{"id": "c"}]}}},
    ],
)
def test_calls_in_the_form_of_an_unknown_api_end_the_answer(document: object) -> None:
    with pytest.raises(UnreadableError, match="in the answer of an API that is not known"):
        rewrite(json.dumps(document).encode(), refuse(), "application/json")
    with pytest.raises(UnreadableError, match="in the answer of an API that is not known"):
        rewrite(sse(document), refuse())


def test_blocks_that_are_told_in_turns_end_the_answer() -> None:
    """A client joins each block's own pieces; the pieces of two must not be taken for one's."""
    block = {"type": "tool_use", "name": "rm"}
    one = {"type": "content_block_start", "index": 1, "content_block": block}
    other = {**one, "index": 2}
    piece = {"type": "input_json_delta", "partial_json": "{}"}
    delta = {"type": "content_block_delta", "index": 1, "delta": piece}
    body = sse({"type": "message_start", "message": {}}, one, other, delta)
    with pytest.raises(UnreadableError, match="told in turns"):
        rewrite(body, refuse())


@pytest.mark.parametrize(("pieces", "name"), [(("ba", "sh"), "bash"), (("bash", "bash"), "bash")])
def test_a_name_in_pieces_or_told_twice_is_one(pieces: tuple[str, str], name: str) -> None:
    asked: list[Call] = []
    calls = [{"index": 0, "function": {"name": each}} for each in pieces]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    rewrite(sse(*chunks, done=True), asked.append)
    assert [call.tool for call in asked] == [name]


def test_arguments_are_read_as_lenient_clients_read_them_or_count_as_opaque() -> None:
    asked: list[Call] = []
    newline, cut, twice = (
        '{"command": "ls\nnc h 1"}',
        '{"command": "nc',
        '{"command": 1, "command": 2}',
    )
    for text in (newline, cut, twice):
        call = {"index": 0, "function": {"name": "bash", "arguments": text}}
        rewrite(sse({"choices": [{"delta": {"tool_calls": [call]}}]}, done=True), asked.append)
    first, *others = map(request_of, asked)
    assert [command.words[0] for command in first.commands] == ["ls", "nc"]
    for unread in others:
        assert [each.why for each in unread.opaque] == ["the arguments are no JSON object"]
        assert jsonpaths.parse(unread.arguments) is jsonpaths.UNREADABLE  # a deny holds for it


CALL = {"name": "rm", "args": {}, "arguments": "{}"}
CHOICE = {"index": 0, "message": {"tool_calls": [{"id": "c", "function": CALL}]}}
EXECUTE = {"candidates": [{"content": {"parts": [{"functionCall": CALL}]}}]}
LINE = json.dumps(EXECUTE)


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        # Google's client reads lines of JSON that are no events, and JSON over several lines.
        ("text/event-stream", f"{LINE}\n\n", "stands in no event"),
        ("text/event-stream", f": hi\n{LINE}\nid: 1\n\n", "stands in no event"),
        ("text/event-stream", "{\n" + LINE[1:] + "\n\n", "stands in no event"),
        # Newline-delimited JSON, as Ollama's client reads it whatever its type.
        ("application/json", f"{LINE}\n{LINE}\n", "stands in no event"),
        ("text/html", f"{LINE}\n{LINE}\n", "stands in no event"),
        # What Node reads and Python does not: large numbers, deep nests.
        ("application/json", '{"n": 1' + "0" * 5000 + f", {LINE[1:]}", "stands in no event"),
        ("application/json", '{"n": ' + "[" * 9999 + "]" * 9999 + f", {LINE[1:]}", "no event"),
        # A list where an event holds an object.
        ("text/event-stream", f"data: [{LINE}]\n\n", "an API that is not known"),
        # A client reads events whatever the answer's type.
        ("image/png", f"data: {LINE}\n\n", "sound or images"),
        ("audio/wav", 'data: {"x": {"type": "tool_use"}}\n\n', "an API that is not known"),
        # Gemini's Interactions.
        ("application/json", '{"outputs": [{"type": "function_call"}]}', "function_call in"),
        ("text/event-stream", 'data: {"delta": {"type": "function_call"}}\n\n', "function_call in"),
        # One document, or one stream, that clients of two APIs read each in its way.
        ("application/json", json.dumps({**EXECUTE, "choices": []}), "openai-chat and gemini"),
        ("text/event-stream", f'data: {{"choices": []}}\n\ndata: {LINE}\n\n', "event of gemini in"),
        (
            "text/event-stream",
            ('data: {"choices": []}\n\ndata: {"type": "content_block_start", "index": 0,'
            ' "content_block": {"type": "tool_use", "name": "rm"}}\n\n'),
            "event of anthropic-messages in an answer of openai-chat",
        ),
        (
            "text/event-stream",
            'data: {"choices": []}\n\ndata: {"type": "x", "tool-calls": [{}]}\n\n',
            "tool-calls in",
        ),
    ],
)  # fmt: skip
def test_what_some_client_may_read_a_call_in_ends_the_answer(
    kind: str, body: str, why: str
) -> None:
    with pytest.raises(UnreadableError, match=why):
        rewrite(body.encode(), refuse("rm"), kind)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        # Anthropic's clients begin with all that message_start holds.
        (
            "text/event-stream",
            (
                'data: {"type": "message_start", "message": {"content":'
                ' [{"type": "tool_use", "name": "rm", "input": {"note": "secret-argument"}}]}}\n\n'
            ),
        ),
        # ProtoJSON's other spelling.
        (
            "application/json",
            (
                '{"candidates": [{"content": {"parts": [{"function_call":'
                ' {"name": "rm", "args": {"note": "secret-argument"}}}]}}]}'
            ),
        ),
        # Node replaces what is no UTF-8.
        (
            "application/json",
            json.dumps({"choices": [CHOICE], "x": "secret-argument \udcff"}, ensure_ascii=False),
        ),
    ],
)
def test_a_call_in_an_unusual_place_is_judged(kind: str, body: str) -> None:
    asked: list[Call] = []
    data = body.encode("utf-8", "surrogateescape")
    assert rewrite(data, asked.append, kind) == data
    assert [each.tool for each in asked] == ["rm"]
    passed = rewrite(data, refuse("rm"), kind)
    assert b"Blocked by the firewall" in passed
    assert b'"rm"' not in passed


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>\n<style>\nbody { color: red }\n</style>\n</html>"),
        ("image/png", b"\x89PNG\r\n\x1a\n{\n\n\x00data: x\n\n" * 100),
        ("text/event-stream", b"\xef\xbb\xbf: hi\nretry: 3\nid: 1\n\ndata: [DONE]\n\n"),
    ],
)
def test_what_no_client_reads_a_call_in_passes(kind: str, body: bytes) -> None:
    assert rewrite(body, refuse("rm"), kind) == body
