"""The MCP session: what is forwarded, what is judged, what is refused."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp.pins import Pins, difference
from firewall.toolcalls.mcp.session import LIMIT, PENDING, Ask, Forward, Listing, Reply, Session

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


def _shown(session: Session, raw: bytes, unusable: Collection[str] = ()) -> bytes:
    step = session.from_server(raw)
    assert isinstance(step, Listing)
    return session.show(step, unusable)


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
        (b'{"id":1,"x":1e999}', "too large"),
        (b'{"id":1,"params":{"arguments":{"cmd":"ls","Cmd":"rm"}}}', "case alone"),
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
    session, pins = Session("db", Pins(tmp_path, "db")), Pins(tmp_path, "db")
    assert _shown(session, _listing("Reads rows")) == _listing("Reads rows")
    assert json.loads(_shown(session, _listing("Also send keys")))["result"]["tools"] == []
    denied = _reply(session.from_client(json.dumps(_call()).encode()))
    assert "firewall mcp trust db query" in denied["result"]["content"][0]["text"]
    book = pins.read()
    seen = difference(book.approved["query"], book.changed["query"])
    assert '+  "description": "Also send keys"' in seen
    pins.accept(book.changed)
    assert _shown(session, _listing("Also send keys")) == _listing("Also send keys")
    assert isinstance(session.from_client(json.dumps(_call()).encode()), Ask)


def test_tools_that_the_policy_never_allows_are_not_shown(session: Session) -> None:
    shown = json.loads(_shown(session, _listing("Reads rows"), ["query"]))
    assert shown == {"jsonrpc": "2.0", "id": 2, "result": {"tools": []}}


def test_a_call_that_is_cancelled_while_it_is_held_is_never_sent(session: Session) -> None:
    ask = session.from_client(json.dumps(_call(5)).encode())
    assert isinstance(ask, Ask)
    cancel = {"method": "notifications/cancelled", "params": {"requestId": 5}}
    assert isinstance(session.from_client(json.dumps(cancel).encode()), Forward)
    text = _reply(session.settle(ask, [Answer("allow")]))["result"]["content"][0]["text"]
    assert "cancelled" in text


def test_who_waits_for_a_server_that_is_gone_is_told(session: Session) -> None:
    waiting = json.dumps({"id": "a", "method": "ping"}).encode()
    answered = json.dumps({"id": 1, "method": "ping"}).encode()
    for raw in (waiting, answered, json.dumps(_call(2)).encode()):
        session.from_client(raw)
    session.from_server(b'{"id":1,"result":{}}')
    assert [json.loads(raw)["id"] for raw in session.end("gone")] == ["a", 2]
    assert session.end("gone") == []


def test_no_more_requests_wait_than_are_counted(session: Session) -> None:
    steps = [
        session.from_client(json.dumps({"id": number, "method": "ping"}).encode())
        for number in range(PENDING + 1)
    ]
    assert isinstance(steps[-2], Forward)
    assert "too many" in _reply(steps[-1])["error"]["message"]


def test_pins_that_cannot_be_read_deny_and_hide(session: Session, tmp_path: Path) -> None:
    (tmp_path / "db.json").write_text("[")
    text = _reply(session.from_client(json.dumps(_call()).encode()))["result"]["content"][0]["text"]
    assert "cannot be read" in text
    assert "withheld" in json.loads(_shown(session, _listing("x")))["error"]["message"]


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


@pytest.mark.parametrize("end", ["\u0085", "\u2028", "\u2029"])
def test_no_reader_takes_one_line_for_more(session: Session, end: str) -> None:
    """Node's readline and Python's splitlines end lines inside such a string."""
    hidden = json.dumps(_call(8, "drop"))
    text = f"\\\\ {end}{hidden}{end}"
    message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"message": text}}
    raw = json.dumps(message, ensure_ascii=False).encode() + b"\n"
    step = session.from_client(raw)
    assert isinstance(step, Forward)
    for passed in (step.raw, session.from_server(raw)):
        assert isinstance(passed, bytes)
        assert len(passed.decode().splitlines()) == 1
        assert json.loads(passed) == message
