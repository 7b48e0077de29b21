"""What fails while a sandbox is made is a recorded refusal, and leaves nothing behind."""

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firewall.judge import Judge
from firewall.node import maker
from firewall.node.client import MESSAGE_LIMIT
from firewall.node.config import NodeConfig, Peer
from firewall.node.desk import Desk
from firewall.node.maker import Made
from firewall.node.place import Place
from firewall.node.requests import Create, Status
from firewall.node.sandbox import Identity, Sandbox, Shared
from firewall.node.trust import Trusted
from firewall.policy import Policy
from firewall.proxy.loop import Loop
from firewall.sandbox.network import Sockets
from tests.unit.proxy.http.stage import ALLOW, FakeGpu, FakeLog, FakePolicy, Silent

ROOT = Peer(1, 0, frozenset())


def _made(folder: Path) -> Made:
    sockets = Sockets(*(socket.socket() for _ in range(3)))
    return Made("a", Place(os.open(folder, os.O_RDONLY), 0), sockets, "environment")


def _desk(log: FakeLog, loop: Loop, folder: Path) -> Desk:
    own = Judge(FakePolicy(lambda _: ALLOW), log, FakeGpu(), Silent())  # type: ignore[arg-type]
    config = NodeConfig(version=1, policies={"p": "base"})
    policies = {"p": cast("Policy", FakePolicy(lambda _: ALLOW))}
    shared = cast("Shared", SimpleNamespace(loop=loop, own=own))
    return Desk(shared, config, policies, Trusted(b"", folder))


@pytest.mark.parametrize("point", ["node.make", "node.open"])
def test_a_fault_is_recorded_and_leaves_nothing(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(here: str) -> None:
        if here == point:
            raise RuntimeError("injected")

    made = _made(tmp_path)
    monkeypatch.setattr("firewall.judge.probe", fault)
    monkeypatch.setattr(maker, "create", lambda *_: made)
    log, loop = FakeLog(), Loop()
    desk = _desk(log, loop, tmp_path)
    answers: list[dict[str, Any]] = []

    def reply(answer: dict[str, Any]) -> None:
        answers.append(answer)
        loop.stop()

    desk.serve(Create(do="create", policy="p", name="a"), ROOT, reply)
    loop.run()
    assert "the firewall could not judge this: injected" in answers[0]["error"]
    assert [each["verdict"]["rule"] for each in log.events] == [f"fail-closed.{point}"]
    assert not desk.sandboxes()
    ended: list[bool] = []
    desk.close(lambda: ended.append(True))
    assert ended == [True], "no number is kept"
    loop.close()
    if point == "node.open":
        assert made.sockets.tcp.fileno() < 0
    else:
        made.discard()


def test_a_page_of_the_status_fits_into_a_message(tmp_path: Path) -> None:
    loop = Loop()
    desk = _desk(FakeLog(), loop, tmp_path)
    names = [f"s-{number:03}" for number in range(200)]
    for name in names:
        identity = Identity(name, "p", 0, 0)
        told = {"name": name, "why": "\N{SNOWMAN}" * 600}
        found = SimpleNamespace(identity=identity, status=lambda told=told: told)
        desk._sandboxes[name] = cast("Sandbox", found)
    seen: list[str] = []
    answers: list[dict[str, Any]] = [{"more": True}]
    while answers[-1]["more"]:
        desk.serve(Status(do="status", after=seen[-1] if seen else ""), ROOT, answers.append)
        assert len(json.dumps(answers[-1])) < MESSAGE_LIMIT
        seen += [each["name"] for each in answers[-1]["sandboxes"]]
    assert seen == names
    loop.close()
