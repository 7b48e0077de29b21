import os
import socket
from pathlib import Path
from typing import Any

import pytest

from firewall.sandbox import spec
from firewall.sandbox.errors import SandboxError
from firewall.sandbox.privileges import Identity


def wanted(**more: Any) -> spec.SandboxSpec:
    values: dict[str, Any] = {
        "argv": ("true",),
        "directory": "/",
        "environment": {},
        "user": None,
        "ca_pem": b"",
    }
    return spec.SandboxSpec(**values | more)


@pytest.mark.parametrize(
    ("own", "user", "keep_root", "expected"),
    [
        (1000, None, False, Identity(1000, 1000, change=False)),
        (1000, (1000, 1000), False, Identity(1000, 1000, change=False)),
        (0, (1000, 1001), False, Identity(1000, 1001, change=True)),
        (0, None, True, Identity(0, 0, change=False)),
        (0, None, False, "must not run as root; name an unprivileged user"),
        (0, (0, 0), False, "must not run as root"),
        (0, (0, 1000), False, "must not run as root"),
        (1000, (1001, 1001), False, "only root can run an agent as another user"),
        (1000, (0, 0), True, "only root can run an agent as another user"),
    ],
)
def test_who_the_agent_is(
    monkeypatch: pytest.MonkeyPatch,
    own: int,
    user: tuple[int, int] | None,
    keep_root: bool,
    expected: Identity | str,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: own)
    monkeypatch.setattr(os, "getegid", lambda: own)
    asked = wanted(user=user, keep_root=keep_root)
    if isinstance(expected, Identity):
        assert spec.identity(asked) == expected
        return
    with pytest.raises(SandboxError, match=expected):
        spec.identity(asked)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"argv": ()}, "no program to run; write it after --"),
        ({"hide": ("relative",)}, "relative cannot be protected"),
        ({"read_only": ("/not/there",)}, "/not/there cannot be protected: it must exist"),
    ],
)
def test_holes_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(SandboxError, match=says):
        spec.check(wanted(**more))


def test_what_is_whole_is_accepted(tmp_path: Path) -> None:
    spec.check(wanted(hide=(str(tmp_path),), read_only=(str(tmp_path),)))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_stream_between_two_programs_may_be_inherited(kind: int) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        assert spec._leads_to_one_peer(one.fileno())
        assert one.fileno() >= 0, "it is still open"
        one.send(b"x")


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
    ],
)
def test_other_sockets_may_not(family: int, kind: int) -> None:
    with socket.socket(family, kind) as made:
        assert not spec._leads_to_one_peer(made.fileno())


def test_neither_may_a_pair_for_datagrams_nor_a_connection() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other, socket.create_server(("127.0.0.1", 0)) as server:
        assert not spec._leads_to_one_peer(one.fileno())
        with socket.create_connection(server.getsockname()) as connection:
            assert not spec._leads_to_one_peer(connection.fileno())
