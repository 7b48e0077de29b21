import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.sandbox import netlink
from firewall.sandbox.netlink import Message, attribute, nested, text


def test_attributes_are_padded_but_their_length_is_not() -> None:
    assert attribute(3, b"abcde") == struct.pack("=HH", 9, 3) + b"abcde\0\0\0"
    assert text(1, "abc") == struct.pack("=HH", 8, 1) + b"abc\0"
    assert nested(2, text(1, "abc")) == struct.pack("=HH", 12, 2 | 0x8000) + text(1, "abc")


def test_a_message_carries_its_sequence_and_asks() -> None:
    data = Message(16, netlink.NLM_F_ACK, b"body").encode(7)
    assert data == struct.pack("=IHHII", 20, 16, 1 | 4, 7, 0) + b"body"


def test_replies_are_taken_apart() -> None:
    data = Message(2, 0, b"first").encode(1) + Message(20, 0, b"2nd!").encode(2)
    assert list(netlink.replies(data)) == [(2, b"first"), (20, b"2nd!")]


@given(st.binary(max_size=300))
def test_any_reply_comes_to_an_end(data: bytes) -> None:
    assert len(list(netlink.replies(data))) <= len(data) // 16


def test_a_refusal_names_the_message_and_the_reason() -> None:
    with pytest.raises(OSError, match="netlink message 1: ") as raised:
        netlink.transact(
            socket.NETLINK_ROUTE,
            [
                Message(18, netlink.NLM_F_ACK, struct.pack("=BxHiII", 0, 0, 1, 0, 0)),
                Message(19, netlink.NLM_F_ACK, struct.pack("=BxHiII", 0, 0, 9999999, 0, 0)),
            ],
        )
    refusals = {errno.ENODEV, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP}
    assert raised.value.errno in refusals or os.geteuid() != 0
