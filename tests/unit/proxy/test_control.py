"""The control socket: who may ask, what is answered, and that nothing hostile harms the gate."""

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firewall.judge
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy import control
from firewall.proxy.control import ASKING, REQUEST_LIMIT, Control, ask, running
from firewall.proxy.loop import Loop
from firewall.proxy.quarantine import Reply
from tests.unit.proxy.stage import Memory
from tests.waiting import PATIENCE, eventually

UNKNOWN = {"error": "no such request: status, quarantine and release are known"}


@dataclass
class Desk:
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        return {"state": "running"}

    def impose(self, by: str, *, freeze: bool, reply: Reply) -> None:
        self.asked.append(("quarantine", by, freeze))
        reply({"state": "quarantined"})

    def release(self, by: str, reply: Reply) -> None:
        self.asked.append(("release", by, False))
        reply({"state": "running"})


class Office:
    """A control socket that is served on a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self.desk, self.memory, self.loop = Desk(), Memory(), Loop()
        judge = Judge(load_policy("base"), self.memory, self.memory, self.memory)
        self.control = Control(self.loop, judge, self.desk, self.folder, "run-1")
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def ask(self, request: Any) -> dict[str, Any]:
        return ask(self.folder, "run-1", request)

    def connect(self) -> socket.socket:
        """A client that has not asked yet."""
        handle = os.open(self.folder, os.O_DIRECTORY)
        try:
            with control._connected(handle, "run-1.sock") as client:
                again = client.dup()
        finally:
            os.close(handle)
        again.settimeout(PATIENCE)
        return again

    def close(self) -> None:
        self.loop.post(self.control.close)
        self.loop.stop()
        self.thread.join(PATIENCE)
        self.loop.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_it_answers_and_says_who_asked(office: Office) -> None:
    assert office.ask({"do": "status"}) == {"state": "running"}
    assert office.ask({"do": "quarantine", "freeze": True}) == {"state": "quarantined"}
    assert office.ask({"do": "quarantine", "freeze": "yes"}) == {"state": "quarantined"}
    assert office.ask({"do": "release"}) == {"state": "running"}
    by = f"uid {os.geteuid()}, pid {os.getpid()}"
    assert office.desk.asked == [
        ("quarantine", by, True),
        ("quarantine", by, False),
        ("release", by, False),
    ]


def test_nobody_else_can_reach_it(office: Office) -> None:
    folder, file = os.stat(office.folder), os.stat(office.folder / "run-1.sock")
    assert stat.S_IMODE(folder.st_mode) == 0o700
    assert stat.S_IMODE(file.st_mode) == 0o600
    assert [each.name for each in office.folder.iterdir()] == ["run-1.sock"]


@pytest.mark.parametrize(("uid", "may"), [(0, True), (os.geteuid(), True), (65534, False)])
def test_only_the_own_user_and_root_may_ask(
    office: Office, monkeypatch: pytest.MonkeyPatch, uid: int, may: bool
) -> None:
    monkeypatch.setattr(control, "_peer", lambda client: (1, uid))
    answer = office.ask({"do": "release"})
    assert ("error" not in answer) == may
    assert len(office.desk.asked) == int(may)


@pytest.mark.parametrize(
    "request_", [{}, {"do": "open"}, {"do": ["release"]}, [], 5, "release", None]
)
def test_what_is_no_request_is_refused(office: Office, request_: Any) -> None:
    assert office.ask(request_) == UNKNOWN
    assert office.desk.asked == []


def test_a_request_that_is_too_long_is_refused(office: Office) -> None:
    assert office.ask({"do": "release", "more": "x" * REQUEST_LIMIT}) == UNKNOWN
    assert office.desk.asked == []


@given(st.binary(max_size=2 * REQUEST_LIMIT) | st.text().map(lambda text: text.encode()))
def test_any_bytes_are_a_request_or_none(data: bytes) -> None:
    request = control._request(data)
    assert isinstance(request, dict)
    assert len(data) <= REQUEST_LIMIT or request == {}


@given(st.dictionaries(st.text(max_size=9), st.booleans() | st.text(max_size=9), max_size=9))
def test_an_object_is_read_as_it_was_sent(request: dict[str, Any]) -> None:
    data = json.dumps(request).encode()
    assert control._request(data) == (request if len(data) <= REQUEST_LIMIT else {})


def test_silent_clients_are_few_and_disturb_nobody_for_long(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.2)
    silent = [office.connect() for _ in range(ASKING)]
    with office.connect() as turned_away:
        assert turned_away.recv(10) == b""
    for each in silent:
        with each:
            assert each.recv(10) == b"", "it took too long"
    assert office.ask({"do": "status"}) == {"state": "running"}


def test_a_client_that_does_not_wait_harms_nobody(office: Office) -> None:
    with office.connect() as client:
        client.send(b'{"do":"quarantine"}')
    eventually(lambda: office.desk.asked)
    assert office.ask({"do": "status"}) == {"state": "running"}


def test_a_fault_is_an_error_and_releases_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(point: str) -> None:
        if point == "control.request":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    # What was asked stays unread, so a reset may overtake the answer.
    with contextlib.suppress(ConnectionResetError):
        assert "injected" in office.ask({"do": "release"})["error"]
    assert office.desk.asked == []
    assert ("deny", "fail-closed.control.request") in office.memory.verdicts()


def test_what_dead_firewalls_leave_is_removed_and_the_living_are_left(office: Office) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(office.folder / "dead.sock"))
    (office.folder / "notes.txt").touch()
    assert running(office.folder) == ["run-1"]
    assert sorted(each.name for each in office.folder.iterdir()) == ["notes.txt", "run-1.sock"]


def test_it_takes_its_socket_away(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.close()
    assert running(office.folder) == []
    assert list(office.folder.iterdir()) == []
    assert running(tmp_path / "never") == []


def test_a_folder_whose_path_is_too_long_for_a_socket_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    office = Office(deep)
    assert office.ask({"do": "status"}) == {"state": "running"}
    office.close()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Not a directory"):
        Office(tmp_path)
