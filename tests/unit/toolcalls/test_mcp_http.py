"""What an MCP server's answer is read as."""

import h11
import pytest

from firewall.toolcalls.mcp.http import _kind

STREAM = (b"Content-Type", b"text/event-stream; charset=utf-8")
PLAIN = (b"Content-Encoding", b"identity")
GZIP = (b"Content-Encoding", b"gzip")


def answer(*headers: tuple[bytes, bytes]) -> h11.Response:
    return h11.Response(status_code=200, headers=[*headers])


def test_the_media_type_stands_alone() -> None:
    assert _kind(answer(STREAM, PLAIN)) == "text/event-stream"
    assert _kind(answer()) == ""


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([STREAM, GZIP], "is compressed"),
        ([STREAM, GZIP, PLAIN], "two content-encoding headers"),
        ([(b"Content-Type", b"application/json"), STREAM], "two content-type headers"),
    ],
)
def test_an_answer_that_the_client_may_read_otherwise_is_refused(
    headers: list[tuple[bytes, bytes]], why: str
) -> None:
    with pytest.raises(h11.RemoteProtocolError, match=why):
        _kind(answer(*headers))
