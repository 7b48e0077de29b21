import os

import pytest

from firewall.sandbox import channel


def test_messages_stay_apart_and_carry_descriptors() -> None:
    one, other = channel.pair()
    reader, writer = os.pipe()
    with one, other:
        channel.send(one, "first", 1, None)
        channel.send(one, "second", fds=(writer,))
        assert channel.receive(other) == (["first", 1, None], [])
        message, [passed] = channel.receive(other)
        assert message == ["second"]
        os.write(passed, b"x")
    assert os.read(reader, 1) == b"x"
    for handle in (reader, writer, passed):
        os.close(handle)


def test_the_end_is_told() -> None:
    one, other = channel.pair()
    one.close()
    with other, pytest.raises(EOFError):
        channel.receive(other)
