"""Only a browser that was given the token reads the page, and no other site through it."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from firewall.cli.dashboard.screen import Screen
from firewall.cli.dashboard.server import DashboardServer
from tests.waiting import PATIENCE


@pytest.fixture
def server() -> Iterator[DashboardServer]:
    screen = Screen()
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(DashboardServer(listener, "127.0.0.1", Path("/<log>"), screen)) as server:
        screen.show({"facts": "[1]"})
        yield server
        screen.close()


def ask(server: DashboardServer, path: str, **headers: str) -> tuple[http.client.HTTPResponse, str]:
    port = server.socket.getsockname()[1]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    client.request("GET", path, headers=headers)
    with closing(client):
        answer = client.getresponse()
        return answer, answer.read().decode()


def cookie(server: DashboardServer) -> str:
    return f"other=1; {server.cookie}={server.token}"


def test_the_token_becomes_a_cookie_and_leaves_the_address(server: DashboardServer) -> None:
    answer, _ = ask(server, f"/?token={server.token}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    given = answer.headers["Set-Cookie"]
    assert given == f"{server.cookie}={server.token}; Path=/; HttpOnly; SameSite=Strict"
    answer, text = ask(server, "/", Cookie=given.partition(";")[0])
    assert answer.status == 200
    assert "/&lt;log&gt;" in text
    allowed = answer.headers["Content-Security-Policy"]
    assert allowed.startswith("default-src 'none'; ")
    assert "unsafe" not in allowed
    assert answer.headers["Cache-Control"] == "no-store"


def test_each_page_has_a_nonce_of_its_own(server: DashboardServer) -> None:
    pages = [ask(server, "/", Cookie=cookie(server)) for _ in range(2)]
    policies = [answer.headers["Content-Security-Policy"] for answer, _ in pages]
    assert policies[0] != policies[1]


@pytest.mark.parametrize("path", ["/", "/events", "/?token=wrong", "/?token=%ff", "/x", "//["])
def test_nobody_without_the_token_reads_anything(server: DashboardServer, path: str) -> None:
    answer, text = ask(server, path, Cookie=f"{server.cookie}=wrong")
    assert (answer.status, "Open the address" in text) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.test:80"},
        {"Host": ""},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
)
def test_other_names_and_origins_are_refused(
    server: DashboardServer, headers: dict[str, str]
) -> None:
    for path in ("/events", f"/?token={server.token}"):
        answer, _ = ask(server, path, Cookie=cookie(server), **headers)
        assert answer.status == 421
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "[::1]:9", "[::1]", "127.0.0.1:9"])
def test_names_of_this_machine_are_its_own(server: DashboardServer, host: str) -> None:
    answer, _ = ask(server, "/", Cookie=cookie(server), Host=host, Origin=f"http://{host}")
    assert answer.status == 200


def test_only_get(server: DashboardServer) -> None:
    port = server.socket.getsockname()[1]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        client.request("POST", "/", headers={"Cookie": cookie(server)})
        assert client.getresponse().status == 501


def test_no_other_place(server: DashboardServer) -> None:
    assert ask(server, "/x", Cookie=cookie(server))[0].status == 404
