"""Model APIs on loopback that want one shell command run, and then are content."""

import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMAND = "touch made-by-the-agent"


class Model:
    """What the model was sent, and the address it is served at."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []

    def was_told(self, text: str) -> bool:
        """Whether the agent gave this back to the model."""
        return any(text in body for body in self.asked)


@contextmanager
def model(tls: ssl.SSLContext | None = None) -> Iterator[Model]:
    """Serves the Anthropic Messages, OpenAI Responses and Gemini APIs, streamed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.model = Model(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.model  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.server.model.asked.append(body)  # type: ignore[attr-defined]
        if "/v1/messages" in self.path and "count_tokens" not in self.path:
            self._stream(_anthropic(json.loads(body)))
        elif self.path.endswith("/responses"):
            self._stream(_openai(json.loads(body)))
        elif "streamGenerateContent" in self.path:
            self._stream(_gemini(json.loads(body)))
        else:
            self._send(b"{}", "application/json")

    def do_GET(self) -> None:
        self._send(b"{}", "application/json")

    def do_HEAD(self) -> None:
        self._send(b"", "application/json")

    def _stream(self, events: Iterable[Mapping[str, Any]]) -> None:
        lines = [
            (f"event: {each['type']}\n" if "type" in each else "") + f"data: {json.dumps(each)}\n\n"
            for each in events
        ]
        self._send("".join(lines).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _anthropic(request: Any) -> list[dict[str, Any]]:
    """Messages API, streamed: a tool_use of Bash until there is a tool_result."""
    done = "tool_result" in json.dumps(request["messages"])
    wanted = any(tool.get("name") == "Bash" for tool in request.get("tools", ())) and not done
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta: dict[str, Any] = {"type": "text_delta", "text": "content"}
    if wanted:
        block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
        given = json.dumps({"command": COMMAND, "description": "Make a file"})
        delta = {"type": "input_json_delta", "partial_json": given}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    reason = "tool_use" if wanted else "end_turn"
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def _openai(request: Any) -> list[dict[str, Any]]:
    """Responses API, streamed: a function call of the shell until there is an output of one."""
    done = "function_call_output" in json.dumps(request["input"])
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "content", "annotations": []}],
    }
    names = {tool.get("name") for tool in request.get("tools", ())}
    if not done:
        name = "exec_command" if "exec_command" in names else "shell_command"
        given = {"cmd" if name == "exec_command" else "command": COMMAND}
        item = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": name,
            "arguments": json.dumps(given),
        }
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    response = {"id": "resp_1", "object": "response", "status": "completed", "usage": usage}
    return [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "output": [item]}},
    ]


def _gemini(request: Any) -> list[dict[str, Any]]:
    """generateContent, streamed: a call of run_shell_command until there is a response to one."""
    done = "functionResponse" in json.dumps(request["contents"])
    call = {"name": "run_shell_command", "args": {"command": COMMAND}}
    part: dict[str, Any] = {"text": "content"} if done else {"functionCall": call}
    content = {"role": "model", "parts": [part]}
    counts = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [{"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": counts}]
