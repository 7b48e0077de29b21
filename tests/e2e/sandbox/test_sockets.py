"""Sockets of the host, with a path or inherited, lead nowhere; the agent's own work."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.sandbox import Sandbox
from tests.e2e.sandbox.inside import IS_ROOT, FirewallError, Inside
from tests.e2e.sandbox.test_escapes import LIBC
from tests.waiting import eventually

CONNECT = """
import socket, sys
def connect(path, kind=socket.SOCK_STREAM):
    try:
        socket.socket(socket.AF_UNIX, kind).connect(path)
        return "connected"
    except OSError as error:
        return error.strerror
"""

# A mask is a file (on a read-only file system), and a covered folder is empty.
REFUSED = ("Read-only file system", "Connection refused", "No such file or directory")


@contextlib.contextmanager
def listening(path: str, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """A server of the host; a relative path is bound as such."""
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(path)
        with contextlib.suppress(OSError):
            server.listen()
        absolute = os.path.abspath(path)
        if not path.startswith("\0"):
            os.chmod(absolute, 0o777)
        try:
            yield server
        finally:
            if not path.startswith("\0"):
                os.unlink(absolute)


def places(inside: Inside) -> dict[str, Path]:
    return {
        "working directory": inside.directory,
        "below": inside.directory / "a" / "b",
        "tmp": Path("/tmp"),
        "run": Path("/run"),
        "dev-shm": Path("/dev/shm"),
        "x11": Path("/tmp/.X11-unix"),
        "opt": Path("/opt"),
    }


@pytest.mark.parametrize(
    "place", ["working directory", "below", "tmp", "run", "dev-shm", "x11", "opt"]
)
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_sockets_of_the_host_cannot_be_connected(inside: Inside, place: str, kind: str) -> None:
    directory = places(inside)[place]
    new = not directory.exists()
    if new and not (IS_ROOT or directory.is_relative_to(inside.directory)):
        pytest.skip(f"{directory} is not there")
    directory.mkdir(parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK):
        pytest.skip(f"only root may put a socket into {directory}")
    path = f"{directory}/sandbox test.sock"
    try:
        with listening(path, socket.SocketKind[kind]):
            code = CONNECT + f"print(connect({path!r}, socket.{kind}))"
            assert inside.outside(code).stdout == "connected\n"
            assert inside.python(code).output.strip() in REFUSED
    finally:
        if new:
            shutil.rmtree(directory)


def test_a_socket_bound_by_a_relative_path_is_masked(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = inside.directory / "deep" / "er"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    with listening("relative.sock"):
        code = CONNECT + f"print(connect('{deep}/relative.sock'))"
        assert inside.outside(code).stdout == "connected\n"
        assert inside.python(code).output.strip() in REFUSED


def test_a_socket_made_later_is_masked_by_a_refresh(inside: Inside) -> None:
    path = f"{inside.directory}/later.sock"

    def serve(sandbox: Sandbox) -> None:
        with listening(path):
            (inside.directory / "there").touch()
            refresh(sandbox)
            (inside.directory / "masked").touch()
            eventually((inside.directory / "done").exists)

    code = (
        CONNECT
        + f"""
import os, time
for name in ("there", "masked"):
    while not os.path.exists(name): time.sleep(0.001)
print(connect({path!r}))
open("done", "w")
"""
    )
    assert inside.python(code, serve=serve).output.strip() in REFUSED


def refresh(sandbox: Sandbox) -> None:
    """Return when all is masked: the sandbox does what it is told in order, and answers this."""
    sandbox.refresh()
    sandbox.open_udp(("203.0.113.1", 53), socket.AF_INET).close()


@contextlib.contextmanager
def renamed(path: str) -> Iterator[None]:
    """A server whose socket got its name after it was bound, as ssh's control sockets do."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.first")
        server.listen()
        os.chmod(f"{path}.first", 0o777)
        os.rename(f"{path}.first", path)
        yield
    os.unlink(path)


def test_a_socket_that_was_renamed_after_binding_is_masked(inside: Inside) -> None:
    deep = inside.directory / "a" / "b"
    deep.mkdir(parents=True)
    path = f"{deep}/control"
    with renamed(path):
        code = CONNECT + f"print(connect({path!r}))"
        assert inside.outside(code).stdout == "connected\n"
        assert inside.python(code).output.strip() in REFUSED


@pytest.mark.parametrize("host_is_there", [False, True])
def test_the_agents_own_sockets_stay_usable(inside: Inside, host_is_there: bool) -> None:
    """In its working directory and in /tmp, bound by a whole and by a relative path."""

    def serve(sandbox: Sandbox) -> None:
        eventually((inside.directory / "ready").exists)
        with contextlib.ExitStack() as stack:
            if host_is_there:
                stack.enter_context(renamed(f"{inside.directory}/host"))
            refresh(sandbox)
            (inside.directory / "refreshed").touch()
            eventually((inside.directory / "done").exists)

    code = (
        CONNECT
        + """
import os, tempfile, time
directory = tempfile.mkdtemp(dir="/tmp")
paths = [os.path.abspath("whole.sock"), "relative.sock", directory + "/tmp.sock"]
servers = []
for path in paths:
    servers.append(socket.socket(socket.AF_UNIX))
    servers[-1].bind(path)
    servers[-1].listen()
open("ready", "w")
while not os.path.exists("refreshed"): time.sleep(0.001)
print(*(connect(path) for path in paths))
for path in paths: os.unlink(path)
os.rmdir(directory)
open("done", "w")
"""
    )
    assert inside.python(code, serve=serve).output == "connected connected connected\n"


def test_abstract_sockets_cannot_be_connected(inside: Inside) -> None:
    with listening("\0sandbox-test"):
        code = CONNECT + "print(connect('\\0sandbox-test'))"
        assert inside.outside(code).stdout == "connected\n"
        assert inside.python(code).output == "Connection refused\n"


def test_sockets_of_its_own_work(inside: Inside) -> None:
    code = CONNECT + (
        "s = socket.socket(socket.AF_UNIX); s.bind('own.sock'); s.listen();"
        "print(connect('own.sock')); socket.socketpair()"
    )
    assert inside.python(code).output == "connected\n"


RECONNECT = """
import sys
libc.connect(0, bytes(16), 16)  # AF_UNSPEC: disconnect
socket.socket(fileno=0).connect(("127.0.0.1", int(sys.argv[1])))
print("connected anew")
"""


@contextlib.contextmanager
def standard_input(handle: int) -> Iterator[None]:
    before = os.dup(0)
    os.dup2(handle, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_an_inherited_connection_is_refused(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket stays in the network that it was made in, and can be connected again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            standard_input(connection.fileno()),
        ):
            with pytest.raises(FirewallError, match="socket of the host's network"):
                inside.python(LIBC + RECONNECT, str(port))
            monkeypatch.setattr("firewall.sandbox.spec._leads_to_one_peer", lambda _: True)
            result = inside.python(LIBC + RECONNECT, str(port))
            assert result.output == "connected anew\n", "the control leads out"
