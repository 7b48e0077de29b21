"""A worker does what its gate tells it, and ends with all of its flows where it cannot."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.causes import SHUT
from firewall.policy import load_policy
from firewall.proxy import handover
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.loads import Loads
from firewall.proxy.shop import Shop
from firewall.proxy.worker import Given, Worker, serve
from firewall.quota import Ledger
from firewall.requests import Connect
from firewall.sandbox import Authority
from firewall.vault import Vault
from tests.waiting import PATIENCE

DUTY = Duty(1, 2, "gate-0.1", "test", "tests.unit.proxy.test_worker:Nobody", first_flow=7)
ASKED = Connect("a.test", 443, protocol="tls", sni="a.test")


class Nobody:
    """Finds no process."""

    @classmethod
    def of_host(cls, name: str) -> "Nobody":
        return cls()


class Office:
    """A worker on a thread, and the gate's end of its channel."""

    def __init__(self, folder: Path, policy: str) -> None:
        (folder / "audit").mkdir()
        path = folder / "policy.yaml"
        path.write_text(policy)
        self.setup = Setup(
            policy=load_policy(path).dump(),
            audit=str(folder / "audit"),
            chain=DUTY.chain,
            authority=str(Authority.ensure(folder / "authority").directory),
            upstream_ca="",
            vault=Vault().dump(),
        )
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE)
        self._theirs = theirs
        self._line, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._loads = Loads(2)
        self._given = Given(DUTY, {"line": line.detach(), "loads": self._loads.descriptor})
        self._line.close()
        self.shop = Shop(folder / "audit", DUTY.chain)
        self.worker = Worker(theirs, self._given, self.setup, self.shop, self.shop.loop.stop)
        self.judge = self.worker._deputy.judge
        self.judge.quota = Ledger()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            serve(self.worker, self.shop)
        except RuntimeError as error:
            self.failure = error

    def say(self, kind: str, fds: tuple[int, ...] = (), /, **body: Any) -> None:
        handover.send(self.channel, kind, body, fds)

    def until(self, kind: str) -> dict[str, Any]:
        while True:
            message = handover.receive(self.channel)
            assert message is not None
            if message[0] == kind:
                return message[1]

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._theirs.close()

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """End the worker; all that it has told."""
        self.channel.shutdown(socket.SHUT_WR)
        self.join()
        told = []
        while (message := handover.receive(self.channel)) is not None:
            told.append(message[:2])
        return told

    def close(self) -> None:
        self.channel.close()
        self.join()
        self._given.quota._line.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    policy = """
version: 1
name: test
network:
  rules:
    - {name: web, allow: https, hosts: [a.test]}
"""
    made = Office(tmp_path, policy)
    yield made
    made.close()


def test_it_tells_which_policy_is_in_force_and_takes_another(office: Office) -> None:
    first = office.until("current")["digest"]
    assert first == office.judge.policy.digest
    nothing = load_policy("base").dump()
    handover.send_setup(office.channel, replace(office.setup, policy=nothing))
    assert office.until("current")["digest"] != first
    assert not office.judge.preview(ASKED, Actor("test")).allowed


def test_denies_are_told_at_once_and_allows_are_counted(office: Office) -> None:
    for request in (ASKED, Connect("b.test", 443, protocol="tls", sni="b.test")):
        office.judge.decide(request, Actor("test"), {}, lambda _: None)
    told = office.all()
    (verdict,) = [body for kind, body in told if kind == "verdict"]
    assert verdict["event"]["request"]["host"] == "b.test"
    counted = [body["changes"] for kind, body in told if kind == "counts" and body["changes"]]
    verdicts = [each for changes in counted for each in changes["verdicts"]]
    assert verdicts == [[["allow", "web", "tls", "true"], 1]]


def test_a_cut_shuts_its_door(office: Office) -> None:
    office.say("cut", round=3, shut=asdict(SHUT))
    assert office.until("done") == {"round": 3, "count": 0}
    assert office.judge.preview(ASKED, Actor("test")).rule == "quarantine"


@pytest.mark.parametrize(
    ("kind", "point"), [("nonsense", ""), ("heard", "worker.message")], ids=["unknown", "fault"]
)
def test_what_it_cannot_do_ends_it(
    office: Office, monkeypatch: pytest.MonkeyPatch, kind: str, point: str
) -> None:
    def fault(at: str) -> None:
        if at == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    office.say(kind, round=1)
    office.join()
    assert "could not judge this" in str(office.failure)


def test_a_gate_that_ends_before_it_has_told_anything_leaves_no_worker() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "firewall.proxy.worker", str(theirs.fileno())]
    with theirs, subprocess.Popen(command, pass_fds=(theirs.fileno(),)) as process:
        ours.close()
        assert process.wait(PATIENCE) == 1
