"""Pipes are used again only while nothing is in them."""

import os

import pytest

from firewall.proxy.pipes import KEPT, Pipe, Pipes


def closed(pipe: Pipe) -> bool:
    try:
        os.fstat(pipe[0])
    except OSError:
        return True
    return False


def test_an_empty_pipe_is_used_again_and_never_waits() -> None:
    pipes = Pipes()
    pipe = pipes.take()
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    pipes.give_back(pipe, 0)
    assert pipes.take() == pipe
    pipes.give_back(pipe, 1)


def test_a_pipe_that_holds_bytes_is_never_another_flows() -> None:
    pipes = Pipes()
    pipe = pipes.take()
    os.write(pipe[1], b"secret")
    pipes.give_back(pipe, 6)
    assert closed(pipe)
    other = pipes.take()
    with pytest.raises(BlockingIOError):
        os.read(other[0], 6)
    pipes.give_back(other, 1)


def test_only_a_few_are_kept() -> None:
    pipes = Pipes()
    taken = [pipes.take() for _ in range(KEPT + 2)]
    for pipe in taken:
        pipes.give_back(pipe, 0)
    assert [closed(pipe) for pipe in taken] == [False] * KEPT + [True] * 2
    for _ in range(KEPT):
        pipes.give_back(pipes.take(), 1)
