"""Event streams between an MCP server and its client: messages change, all else stays."""

import pytest

from firewall.toolcalls.mcp.events import Stream
from firewall.toolcalls.mcp.lines import Lines
from firewall.toolcalls.mcp.session import LIMIT

STREAM = b'event: message\r\nid: 1\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: ping\n\nid: 2\ndata:\n\n'


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_what_is_not_changed_keeps_its_bytes(size: int) -> None:
    stream = Stream()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    events = [event for piece in pieces for event in stream.feed(piece)]
    assert b"".join(event.carrying(event.data) for event in events) == STREAM
    assert [event.data for event in events] == [b'{"a":\n1}', b"", b""]


def test_a_changed_message_keeps_the_other_fields() -> None:
    event = next(Stream().feed(STREAM))
    assert event.carrying(b'{"b":2}\n') == b'event: message\nid: 1\ndata: {"b":2}\n\n'
    assert event.carrying(b"") == b""


def test_an_event_without_end_is_refused() -> None:
    stream = Stream()
    with pytest.raises(ValueError, match="over"):
        list(stream.feed(b"data: " + b"x" * LIMIT))


def test_a_line_without_end_takes_no_more_room_than_a_message() -> None:
    lines = Lines(limit=8)
    found = [line for _ in range(9) for line in lines.feed(b"abc")]
    found += [*lines.feed(b"d\nok\n")]
    assert found == [b"abcabcabc", b"ok\n"]
    assert lines.rest() == b""
