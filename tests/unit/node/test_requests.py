"""What the daemon understands, and that nothing a client sends is more than refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.node.requests import Act, Attach, RequestError, Status, read


def test_requests_are_what_they_say() -> None:
    assert read(b'{"do": "status"}') == Status(do="status")
    assert read(b'{"do": "attach", "policy": "p", "pid": 7}') == Attach(
        do="attach", policy="p", pid=7
    )
    assert read(b'{"do": "quarantine", "name": "a", "freeze": true}') == Act(
        do="quarantine", name="a", freeze=True
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not understood"),
        (b"[]", "not understood"),
        (b'{"do": "fly"}', "not understood"),
        (b'{"do": "status", "more": 1}', "more: "),
        (b'{"do": "attach", "policy": "p"}', "name one place"),
        (b'{"do": "attach", "policy": "p", "pid": 1, "container": "a"}', "name one place"),
        (b'{"do": "attach", "policy": "p", "pid": "1"}', "pid: "),
        (b'{"do": "release", "name": "../x"}', "a name is up to 63"),
        (b'{"do": "create", "policy": "p", "name": "a\\u001b[2J"}', "a name is up to 63"),
    ],
)
def test_what_is_wrong_is_told(text: bytes, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        read(text)


@given(st.binary() | st.recursive(st.text(), st.lists).map(lambda each: repr(each).encode()))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    with pytest.raises(RequestError):
        read(data)
