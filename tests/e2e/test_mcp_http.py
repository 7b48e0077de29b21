"""`firewall mcp --url` between the official SDK's client and server, over Streamable HTTP."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from tests.waiting import eventually

SERVER = Path(__file__).with_name("mcp_server.py")
POLICY = """\
version: 1
name: demo
tools:
  rules:
    - {name: small, deny: ["mcp__demo__add"], where: {"$.one": {min: 100}}, reason: too large}
    - {name: no-drop, deny: [drop]}
"""
HEADERS = {"accept": "application/json, text/event-stream"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _running(state: Path, port: int, *command: str) -> Iterator[None]:
    environment = {**os.environ, "FIREWALL_STATE": str(state)}
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _listens(port), 30)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module", params=["json", "sse"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, real, ours = tmp_path_factory.mktemp("mcp"), _port(), _port()
    policy = folder / "demo.yaml"
    policy.write_text(POLICY)
    proxy = ["mcp", "--policy", str(policy), "--name", "demo"]
    proxy += ["--listen", f"127.0.0.1:{ours}", "--url", f"http://127.0.0.1:{real}/mcp"]
    with (
        _running(folder, real, str(SERVER), str(real), request.param),
        _running(folder, ours, "-m", "firewall.cli", *proxy),
    ):
        yield f"http://127.0.0.1:{ours}/mcp"


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_calls_are_judged_between_the_sdks_client_and_server(url: str, mode: str) -> None:
    async def session() -> tuple[list[str], Any, Any]:
        async with Client(url, mode=mode) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            allowed = await client.call_tool("add", {"one": 1, "two": 2})
            return tools, allowed, await client.call_tool("add", {"one": 100, "two": 2})

    tools, allowed, denied = asyncio.run(session())
    assert tools == ["add"]
    assert (allowed.is_error, allowed.content[0].text) == (False, "3")
    assert denied.is_error
    assert "too large\nrule: small" in denied.content[0].text


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, "_meta": META}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


def _post(url: str, body: Any, **headers: str) -> httpx.Response:
    given = {**HEADERS, "content-type": "application/json", **headers}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(url, content=content, headers=given)


MIRRORS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "add"}


@pytest.mark.parametrize(
    "changed",
    [
        {"mcp-name": "drop"},
        {"mcp-method": "tools/list"},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-param-region": "elsewhere"},
    ],
)
def test_headers_that_contradict_the_body_are_refused(url: str, changed: dict[str, str]) -> None:
    answer = _post(url, _call("add", one=1, two=2), **{**MIRRORS, **changed})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (answer.json()["id"], error["code"]) == (7, -32020)
    assert next(iter(changed)) in error["message"]


def test_headers_that_agree_pass(url: str) -> None:
    answer = _post(url, _call("add", one=1, two=2), **MIRRORS)
    assert answer.status_code == 200
    assert '"text":"3"' in answer.text.replace(": ", ":")


def test_a_refusal_is_a_complete_result_under_the_same_id(url: str) -> None:
    mirrors = {**MIRRORS, "mcp-name": "drop"}
    answer = _post(url, _call("drop", table="users"), **mirrors).json()
    assert (answer["id"], answer["result"]["resultType"]) == (7, "complete")
    assert answer["result"]["isError"]
    assert "no-drop" in answer["result"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"host": "evil.example"}, 403),
        ({"content-type": "application/json; charset=utf-7"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"content-type": "text/plain"}, 415),
    ],
)
def test_what_could_be_read_differently_is_refused(
    url: str, headers: dict[str, str], status: int
) -> None:
    assert _post(url, _call("add", one=1, two=2), **{**MIRRORS, **headers}).status_code == status


def test_other_paths_and_methods_are_refused(url: str) -> None:
    assert _post(url + "/other", b"{}").status_code == 404
    assert httpx.put(url, content=b"{}").status_code == 405


def test_a_name_that_stands_twice_is_refused(url: str) -> None:
    body = b'{"jsonrpc":"2.0","id":3,"method":"ping","method":"tools/call"}'
    answer = _post(url, body)
    assert (answer.status_code, answer.json()["id"]) == (400, 3)
    assert "twice" in answer.json()["error"]["message"]


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    ours = _port()
    proxy = ["mcp", "--policy", "base", "--listen", f"127.0.0.1:{ours}"]
    with _running(
        tmp_path, ours, "-m", "firewall.cli", *proxy, "--url", f"http://127.0.0.1:{_port()}/mcp"
    ):
        answer = _post(f"http://127.0.0.1:{ours}/mcp", {"id": 1, "method": "ping"})
    assert answer.status_code == 502
    assert "did not answer" in answer.text
