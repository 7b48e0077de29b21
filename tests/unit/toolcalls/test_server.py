"""The service's sockets: who may ask, how much, how long, and how many at once."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from firewall.toolcalls import server as module
from firewall.toolcalls.server import Server, by_token, unix_listener
from tests.unit.toolcalls.serving import ACTOR, ALLOW, DENY, Court, served
from tests.waiting import PATIENCE, eventually

CALL = b'{"tool": "Bash"}'


@pytest.fixture
def court() -> Court:
    return Court(DENY)


@pytest.fixture
def path(court: Court, tmp_path: Path) -> Iterator[Path]:
    with served(court.service, tmp_path / "tools.sock"):
        yield tmp_path / "tools.sock"


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    return client


def said(path: Path, request: bytes) -> bytes:
    """All that is answered to a request until the server hangs up."""
    with connected(path) as client:
        with suppress(BrokenPipeError):
            client.sendall(request)
        return everything(client)


def everything(client: socket.socket) -> bytes:
    answer = b""
    try:
        while chunk := client.recv(1 << 16):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


def request(body: bytes, *fields: bytes) -> bytes:
    head = [b"POST /v1/tool-calls HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, *fields, b"", body])


def test_requests_follow_each_other_on_one_connection(court: Court, path: Path) -> None:
    last = request(CALL, b"Connection: close")
    answer = said(path, request(CALL) + last)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answer.count(b'"rule": "no-nc"') == 2
    assert len(court.policy.asked) == 2


def test_the_process_at_the_other_end_is_the_actor(court: Court, path: Path) -> None:
    said(path, request(CALL, b"Connection: close"))
    (record,) = court.memory.records
    assert record["actor"]["process"]["pid"] == os.getpid()


def test_the_path_is_this_users_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_user_is_refused_before_anything_is_read(court: Court, tmp_path: Path) -> None:
    nobody_here = frozenset({os.getuid() + 1})
    with served(court.service, tmp_path / "s", nobody_here):
        answer = said(tmp_path / "s", request(CALL))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"the token is missing or wrong" in answer
    assert court.policy.asked == []


def test_this_user_is_served_where_users_are_named(court: Court, tmp_path: Path) -> None:
    with served(court.service, tmp_path / "s", frozenset({os.getuid()})):
        assert b"no-nc" in said(tmp_path / "s", request(CALL, b"Connection: close"))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("bearer s3cret", 401),
        ("s3cret", 401),
        ("", 401),
        ("Bearer \xff", 401),
    ],
)
def test_over_tcp_the_token_decides(court: Court, header: str, status: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(Server(listener, court.service, by_token("s3cret", ACTOR))) as server:
        host, port = server.socket.getsockname()
        client = HTTPConnection(host, port, timeout=PATIENCE)
        for method, target, body in (
            ("GET", "/v1/openapi.json", None),
            ("POST", "/v1/tool-calls", CALL),
        ):
            client.request(method, target, body, {"Authorization": header})
            response = client.getresponse()
            response.read()
            assert response.status == status
        client.close()
    assert len(court.policy.asked) == (status == 200)


@pytest.mark.parametrize(
    "length", [b"-1", b"+1", b"x", b"", b"1_0", b"4194305", b"9" * 5000, "١".encode()]
)
def test_a_length_that_is_none_or_too_large_is_refused(
    court: Court, path: Path, length: bytes
) -> None:
    head = b"POST /v1/tool-calls HTTP/1.1\r\nContent-Length: "
    answer = said(path, head + length + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"up to 4194304 bytes" in answer
    assert court.policy.asked == []


@pytest.mark.parametrize("other", [len(CALL), 0])
def test_a_length_that_is_told_twice_is_refused(court: Court, path: Path, other: int) -> None:
    answer = said(path, request(CALL, b"Content-Length: %d" % other))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert court.policy.asked == []


def test_a_body_without_a_length_is_refused(path: Path) -> None:
    chunked = b"POST /v1/tool-calls HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert said(path, chunked).startswith(b"HTTP/1.1 413 ")


def test_the_largest_body_is_read(court: Court, path: Path) -> None:
    filler = b'{"tool": "t", "arguments": {"a": "%s"}}'
    body = filler % (b"x" * (module.BODY_LIMIT - len(filler) + 2))
    assert len(body) == module.BODY_LIMIT
    assert b"no-nc" in said(path, request(body, b"Connection: close"))


@pytest.mark.parametrize(
    "noise",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_noise_gets_no_verdict_and_ends_nothing(court: Court, path: Path, noise: bytes) -> None:
    assert b" 200 " not in said(path, noise)
    assert court.policy.asked == []
    assert b"no-nc" in said(path, request(CALL, b"Connection: close"))


def test_a_body_that_ends_early_is_not_judged(court: Court, path: Path) -> None:
    with connected(path) as client:
        client.sendall(request(CALL)[:-1])
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b""
    assert court.policy.asked == []


@pytest.mark.parametrize("start", [b"", b"POST /v1/tool-calls HTTP/1.1\r\nHos", request(CALL)[:-1]])
def test_a_client_that_takes_too_long_is_hung_up_on(
    court: Court, path: Path, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    assert said(path, start) == b""
    assert court.policy.asked == []


def test_a_trickle_does_not_buy_more_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    with connected(path) as client:
        client.sendall(b"POST /v1/tool-calls HTTP/1.1\r\n")
        client.settimeout(0.01)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012
            while True:
                client.sendall(b"X: y\r\n")
                try:
                    if client.recv(1) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    pass


def test_too_many_are_turned_away_and_room_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        for _ in range(module.CONNECTIONS):
            first = stack.enter_context(connected(path))
            first.sendall(request(CALL))
            assert first.recv(1 << 16).startswith(b"HTTP/1.1 200"), "it is served, and stays"
        assert said(path, request(CALL)) == b""
        first.close()
        eventually(lambda: b"no-nc" in said(path, request(CALL, b"Connection: close")))


def test_a_path_that_is_served_is_not_taken_over(path: Path) -> None:
    with pytest.raises(FileExistsError, match="is served already"):
        unix_listener(path)


def test_a_dead_servers_path_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tools.sock"
    unix_listener(path).close()
    with served(Court(ALLOW).service, path):
        assert json.loads(said(path, request(CALL, b"Connection: close")).split(b"\r\n\r\n")[1])
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    with pytest.raises(OSError, match="Address already in use"):
        unix_listener(file)
    assert file.read_text() == "mine"


def test_closing_waits_for_no_look_at_the_clock(court: Court, tmp_path: Path) -> None:
    """An agent's end waits for it: serve_forever alone looks every tenth of a second."""
    took = []
    for number in range(3):
        server = Server(unix_listener(tmp_path / str(number)), court.service, by_token("", ACTOR))
        time.sleep(0.02)  # until the server's thread waits
        began = time.monotonic()
        server.close()
        took.append(time.monotonic() - began)
    assert min(took) < 0.05
