import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.sandbox import exposed

LISTING = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01  1111 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0005 01 22222 @abstract
0000000000000000: 00000003 00000000 00000000 0001 03   333
0000000000000000: 00000002 00000000 00000000 0002 01 44444 relative/x.sock
0000000000000000: 00000002 00000000 00010000 0001 01 55555 /tmp/with two  spaces
"""


def test_the_kernels_list() -> None:
    assert list(exposed.unix_paths(LISTING)) == [
        "/run/docker.sock",
        "relative/x.sock",
        "/tmp/with two  spaces",
    ]


@given(st.text())
def test_any_list_can_be_read(text: str) -> None:
    assert all(isinstance(path, str) for path in exposed.unix_paths(text))


def test_mount_points_with_odd_names() -> None:
    table = (
        "26 1 8:1 / / rw - ext4 /dev/a rw\n27 26 8:1 /s /srv/a\\040b\\134c rw - ext4 /dev/a rw\n"
    )
    assert list(exposed.mount_points(table)) == ["/", "/srv/a b\\c"]


@pytest.fixture
def server(tmp_path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(tmp_path / "agent.sock"))
    return made


def test_a_listening_socket_is_found(tmp_path: Path, server: socket.socket) -> None:
    with server:
        server.listen()
        assert str(tmp_path / "agent.sock") in exposed.host_sockets({}, "/")


@pytest.mark.parametrize("value", ["{}", "unix://{}", "unix:path={},guid=1", "a={};b"])
def test_the_environment_names_sockets_of_other_namespaces(
    tmp_path: Path, server: socket.socket, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "agent.sock")
    monkeypatch.setattr(exposed, "_read", lambda _: "")
    monkeypatch.setattr(exposed, "_USUAL", ())
    with server:
        assert exposed.host_sockets({"HOME": "/"}, "/") == ()
        assert exposed.host_sockets({"HOME": "/", "X": value.format(path)}, "/") == (path,)


def test_sockets_that_no_list_has_are_found_where_they_usually_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposed, "_read", lambda _: "")
    below = tmp_path / "below"
    below.mkdir()
    (below / "file").touch()
    (below / "link").symlink_to("agent.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{below}/agent.sock")
        monkeypatch.setattr(exposed, "_USUAL", ((str(tmp_path), 2),))
        assert exposed.host_sockets({"HOME": "/"}, "/") == (f"{below}/agent.sock",)
        monkeypatch.setattr(exposed, "_USUAL", ((str(tmp_path), 1),))
        assert exposed.host_sockets({"HOME": "/"}, "/") == ()
        assert exposed.host_sockets({"HOME": "/"}, str(below)) == (f"{below}/agent.sock",)


def test_a_path_through_a_link_is_resolved(
    tmp_path: Path, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    monkeypatch.setattr(exposed, "_read", lambda _: "")
    monkeypatch.setattr(exposed, "_USUAL", ())
    with server:
        environment = {"HOME": "/", "SSH_AUTH_SOCK": f"{tmp_path}/way/agent.sock"}
        assert exposed.host_sockets(environment, "/") == (str(tmp_path / "agent.sock"),)
    assert os.path.exists(tmp_path / "agent.sock")


def _listing(*paths: str) -> str:
    lines = (f"0: 00000002 00000000 00010000 0001 01 1 {path}" for path in paths)
    return "\n".join(["Num", *lines])


def test_later_the_agents_own_sockets_are_told_from_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's is found under its new name too; the agent's is left alone beside it."""
    for name in ("host", "renamed", "own"):
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / name))
    lists = {
        "/proc/net/unix": _listing(f"{tmp_path}/host", f"{tmp_path}/gone"),
        "/proc/7/net/unix": _listing(f"{tmp_path}/own"),
        "/proc/self/mountinfo": "",
    }
    monkeypatch.setattr(exposed, "_read", lists.__getitem__)
    assert exposed.later_sockets("/", 7) == (f"{tmp_path}/host", f"{tmp_path}/renamed")


def test_an_agent_cannot_claim_a_socket_that_the_host_has_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{tmp_path}/host"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
    lists = {"/proc/self/mountinfo": ""}
    monkeypatch.setattr(exposed, "_read", lambda name: lists.get(name, _listing(path)))
    assert exposed.later_sockets("/", 7) == (path,)
