"""The MCP session: what is forwarded, what is judged, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp.pins import Pins
from firewall.toolcalls.mcp.session import LIMIT, Ask, Forward, Reply, Session

DENY = Answer("deny", "no-drop", "dropping tables", text="Blocked by the firewall: no")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session("db", Pins(tmp_path, "db"))


def _call(identity: Any = 1, name: str = "query", **params: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": {"q": "x"}, **params}
    return {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params}


def _listing(text: str) -> bytes:
    tool = {"name": "query", "description": text, "inputSchema": {}}
    return json.dumps({"jsonrpc": "2.0", "id": 2, "result": {"tools": [tool]}}).encode() + b"\n"


def _reply(step: object) -> Any:
    assert isinstance(step, Reply)
    return json.loads(step.raw)


def test_an_allowed_call_is_forwarded_byte_for_byte(session: Session) -> None:
    raw = json.dumps(_call(), indent=None).replace(",", " ,").encode() + b"\r\n"
    ask = session.from_client(raw)
    assert isinstance(ask, Ask)
    assert ask.calls[0][1].arguments == {"q": "x"}
    assert session.settle(ask, [Answer("allow")]) == Forward(raw)


@pytest.mark.parametrize("identity", [7, "seven", 0])
def test_a_denied_call_is_answered_under_its_id(session: Session, identity: Any) -> None:
    ask = session.from_client(json.dumps(_call(identity)).encode())
    assert isinstance(ask, Ask)
    reply = _reply(session.settle(ask, [DENY]))
    assert reply["id"] == identity
    assert reply["result"]["isError"] is True
    assert reply["result"]["content"][0]["text"] == DENY.text


def test_an_ask_is_no_allow(session: Session) -> None:
    ask = session.from_client(json.dumps(_call()).encode())
    assert isinstance(ask, Ask)
    assert _reply(session.settle(ask, [Answer("ask", reason="who knows")]))["result"]["isError"]


def test_a_retry_with_input_responses_is_judged_again(session: Session) -> None:
    raw = json.dumps(_call(9, inputResponses={"ok": True}, requestState="s")).encode()
    assert isinstance(session.from_client(raw), Ask)


def test_one_denied_call_keeps_its_whole_batch_back(session: Session) -> None:
    ping = {"jsonrpc": "2.0", "id": 3, "method": "ping"}
    ask = session.from_client(json.dumps([_call(1), ping, _call(2)]).encode())
    assert isinstance(ask, Ask)
    first, other, last = _reply(session.settle(ask, [Answer("allow"), DENY]))
    assert "another call" in first["error"]["message"]
    assert other["id"] == 3
    assert last["result"]["isError"]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"id":1,"method":"ping","method":"tools/call"}', "twice"),
        (b'{"id":1,"Method":"tools/call"}', "looks like"),
        (b'{"id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}', "looks like"),
        (b'{"id":1,"a":\r{"method":"tools/call"}\r}', "carriage return"),
        (b'{"id":1,"method":"tools/call\\u0000"}', "plain name"),
        (b'{"id":1,"method":"tools/call","params":[]}', "needs a name"),
        (b'{"id":1,"x":NaN}', "NaN"),
        (b'{"id":1,"x":' + b"[" * 200_000, "no JSON"),
        (b'{"id":1}' + b" " * LIMIT, "more than"),
    ],
)
def test_what_two_parsers_may_read_differently_is_refused(
    session: Session, raw: bytes, why: str
) -> None:
    reply = _reply(session.from_client(raw))
    assert reply["id"] == 1
    assert why in reply["error"]["message"]


@pytest.mark.parametrize("method", ["notifications/cancelled", "notifications/progress", "ping"])
def test_everything_else_passes(session: Session, method: str) -> None:
    raw = json.dumps({"jsonrpc": "2.0", "method": method, "params": {}}).encode() + b"\n"
    assert session.from_client(raw) == Forward(raw)


def test_a_changed_tool_is_hidden_and_denied_until_it_is_trusted(tmp_path: Path) -> None:
    session = Session("db", Pins(tmp_path, "db"))
    assert session.from_server(_listing("Reads rows")) == _listing("Reads rows")
    assert json.loads(session.from_server(_listing("Also send keys")))["result"]["tools"] == []
    denied = _reply(session.from_client(json.dumps(_call()).encode()))
    assert "firewall mcp trust db query" in denied["result"]["content"][0]["text"]
    difference = Pins(tmp_path, "db").trust("query")
    assert '+  "description": "Also send keys"' in difference
    again = Session("db", Pins(tmp_path, "db"))
    assert again.from_server(_listing("Also send keys")) == _listing("Also send keys")
    assert isinstance(again.from_client(json.dumps(_call()).encode()), Ask)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["tools/call", "query", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["method", "params", "id", "name", "arguments", "Method"]), inner
        )
    ),
)


@given(raw=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_that_a_parser_reads_as_a_call_is_forwarded_unjudged(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    step = Session("db", Pins(tmp_path_factory.getbasetemp(), "db")).from_client(raw)
    if not isinstance(step, Forward):
        return
    value = json.loads(raw)
    messages = value if isinstance(value, list) else [value]
    assert all(message.get("method") != "tools/call" for message in messages)
