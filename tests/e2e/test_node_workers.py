"""`firewall node serve --workers`: sandboxes are spread over processes, of which any may die."""

import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from firewall.audit import verify
from firewall.proxy.workerlink import FLOWS_EACH
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Nginx, free_port
from tests.e2e.test_metrics import _samples
from tests.e2e.test_node import House, closed, curl, served
from tests.waiting import PATIENCE, eventually

pytestmark = [
    needs("curl", "nginx", "unshare", "nsenter", "setpriv", "ip"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a node must be root"),
]

HELLO = "hello from nginx\n\n200"
NAMES = ("a", "b", "c", "d")


@dataclass
class Manned:
    """A node with two workers and four sandboxes."""

    house: House
    metrics: int
    inside: dict[str, int]

    def states(self) -> dict[str, dict[str, Any]]:
        with self.house.node() as node:
            return {each["name"]: each for each in node.status()}

    def current(self) -> dict[str, dict[str, Any]]:
        """The states, once every sandbox is served by the policy in force."""

        def served() -> dict[str, dict[str, Any]]:
            states = self.states()
            return states if all(each["current"] for each in states.values()) else {}

        return eventually(served)

    def hello(self, name: str) -> str:
        return self.house.hello(self.inside[name]).stdout

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.house.workplace.records() if each["kind"] == kind]

    @contextmanager
    def download(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A flow that goes on."""
        url = f"https://origin.test:{self.house.nginx.https}/large"
        enter = ["nsenter", "-t", str(self.inside[name]), "--net", "--mount", "--"]
        command = [*enter, "curl", "-sS", "--limit-rate", "64k", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as flow:
            assert flow.stdout is not None
            assert flow.stdout.read(1000)
            yield flow
            flow.kill()


def was_cut(flow: subprocess.Popen[bytes]) -> bool:
    """Whether a download ended early; it is read to its end, or it would wait for that."""
    flow.communicate(timeout=PATIENCE)
    return flow.returncode != 0


@pytest.fixture
def manned(workplace: Workplace, nginx: Nginx) -> Iterator[Manned]:
    metrics = free_port()
    options = ("--workers", "2", "--metrics", str(metrics))
    with served(workplace, nginx, *options) as house, ExitStack() as stack:
        inside = {name: stack.enter_context(closed()) for name in NAMES}
        with house.node() as node:
            for name, pid in inside.items():
                node.attach(policy="coding", pid=pid, name=name)
        made = Manned(house, metrics, inside)
        made.current()
        yield made
    assert verify(workplace.log).status == "intact"


def test_a_worker_that_dies_takes_only_its_own_sandboxes_flows(manned: Manned) -> None:
    before = manned.current()
    spread = defaultdict(list)
    for name, state in before.items():
        spread[state["worker"]].append(name)
    assert {number: len(names) for number, names in spread.items()} == {1: 2, 2: 2}
    assert [manned.hello(name) for name in NAMES] == [HELLO] * 4
    in_depth = f"http://origin.test:{manned.house.nginx.http}/hello"
    assert curl(manned.inside["a"], "--http2", in_depth).stdout == HELLO
    verdicts = [each for each in manned.records("verdict") if each["chain"].startswith("gate-")]
    chains = {each["actor"]["sandbox"]: each["chain"] for each in verdicts}
    lost, kept = spread[1], spread[2]
    with ExitStack() as stack:
        cut, whole = (stack.enter_context(manned.download(each[0])) for each in (lost, kept))
        os.kill(before[lost[0]]["worker_pid"], signal.SIGKILL)
        assert was_cut(cut)
        assert [manned.hello(name) for name in lost] == [HELLO] * 2, "they wait for the next one"
        assert whole.poll() is None
        assert whole.stdout is not None
        assert whole.stdout.read(1000)
    after = manned.current()
    for name in kept:
        assert after[name]["worker_pid"] == before[name]["worker_pid"]
    assert len({after[name]["worker_pid"] for name in lost}) == 1
    assert after[lost[0]]["worker_pid"] != before[lost[0]]["worker_pid"]
    died = manned.records("worker.died")
    told = [each["sandboxes"] for each in died if "sandboxes" in each]
    assert told == [sorted(lost)]
    assert sorted(each["sandbox"] for each in died if "sandbox" in each) == sorted(lost)
    assert {each["reason"] for each in died} == {"worker 1 ended unexpectedly: signal 9"}
    assert {chains[name] for name in lost} == {died[0]["writes"]}
    assert {chains[name] for name in kept} != {died[0]["writes"]}
    samples = _samples(manned.metrics)
    assert samples['firewall_worker_restarts_total{worker="1"}'] == 1
    assert samples['firewall_worker_restarts_total{worker="2"}'] == 0
    assert samples['firewall_worker_up{worker="1"}'] == 1
    flows = [each["flow"]["flow"] for each in manned.records("verdict") if "flow" in each["flow"]]
    owners = {
        (each["flow"]["flow"], each["actor"]["sandbox"])
        for each in manned.records("verdict")
        if "flow" in each["flow"]
    }
    assert len({flow for flow, _ in owners}) == len(owners), "no two flows share a number"
    assert all(flow > FLOWS_EACH for flow in flows)


def test_a_quarantine_and_its_end_reach_the_worker(manned: Manned) -> None:
    with manned.house.node() as node, manned.download("a") as flow:
        assert node.quarantine("a")["state"] == "quarantined"
        assert was_cut(flow)
        shut = curl(manned.inside["a"], "http://198.18.7.7/")
        assert "firewall node reopen a" in shut.stdout, shut
        assert manned.hello("b") == HELLO
        assert node.reopen("a")["state"] == "running"
        assert manned.hello("a") == HELLO


def test_what_is_released_has_no_way_out_at_once(manned: Manned) -> None:
    with manned.house.node() as node, manned.download("a") as flow:
        node.release("a")
        assert curl(manned.inside["a"], "http://198.18.7.7/").returncode == 7
        assert was_cut(flow)
        assert manned.hello("c") == HELLO
        node.attach(policy="coding", pid=manned.inside["a"], name="a")
    assert manned.hello("a") == HELLO
    assert manned.current()["a"]["worker"] == 1, "where there are fewest"


def test_another_policy_is_in_force_in_all_workers(manned: Manned) -> None:
    house = manned.house
    path = house.workplace.folder / "policy" / "policy.yaml"
    path.write_text(path.read_text().replace("name: web,", "name: other,"))
    assert house.process is not None
    house.process.send_signal(signal.SIGHUP)
    eventually(lambda: [each for each in manned.records("policy") if "chain" in each][3:])
    manned.current()
    assert [manned.hello(name) for name in NAMES] == [HELLO] * 4
    rules = [each["verdict"]["rule"] for each in manned.records("verdict")]
    assert "other" in rules
    assert "web" not in rules


def test_a_worker_that_hangs_is_killed_where_it_must_do_something(manned: Manned) -> None:
    hung = manned.current()["a"]["worker_pid"]
    os.kill(hung, signal.SIGSTOP)
    with manned.house.node() as node:
        assert node.quarantine("a")["state"] == "quarantined"
    after = manned.current()
    assert after["a"]["worker_pid"] != hung
    shut = curl(manned.inside["a"], "http://198.18.7.7/")
    assert "firewall node reopen a" in shut.stdout, "the next one is told of the quarantine"
    others = [name for name in NAMES if name != "a"]
    assert [manned.hello(name) for name in others] == [HELLO] * 3
