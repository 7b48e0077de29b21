"""Several workers serve as one firewall does: same verdicts, one count, one door to shut."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from firewall.audit import verify
from firewall.proxy import control
from firewall.proxy.workerlink import FLOWS_EACH
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Nginx, RawServer, free_port
from tests.e2e.serving import Served, serve
from tests.e2e.test_metrics import _samples
from tests.e2e.test_survival import ended
from tests.waiting import eventually

POLICY = """
version: 1
name: shared
guards: {on-critical: quarantine, mining: block}
network:
  names: {raw.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - {name: raw, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32]}
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], addresses: [127.0.0.1/32]}
    - {name: plain, allow: http, hosts: [origin.test], ports: [{http}], addresses: [127.0.0.1/32]}
"""
LIMITED = """
version: 1
name: limited
network:
  names: {raw.test: 127.0.0.1}
  rules:
    - {name: raw, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32],
       limits: [{connections: 12/h}, {sent: 100KB/h}]}
"""
WORKERS = ("--workers", "2")
WORD = b"\x00\x01\x02\x03"
STRATUM = b'{"id":1,"method":"mining.subscribe","params":[]}\n'


class Shared:
    """A running `firewall serve` with two workers."""

    def __init__(self, workplace: Workplace, served: Served, open_ones: ExitStack) -> None:
        self.workplace = workplace
        self.served = served
        self._open = open_ones
        self.folder = Path(workplace.environment["FIREWALL_STATE"]) / "run"

    def ask(self, **request: Any) -> dict[str, Any]:
        (name,) = control.running(self.folder)
        return control.ask(self.folder, name, request)

    def pids(self) -> list[int]:
        """The processes of the workers, once both serve by the policy in force."""

        def serving() -> list[int]:
            status = self.ask(do="status")
            return status["worker_pids"] if status["workers_current"] == 2 else []

        return eventually(serving)

    def connect(self, port: int, words: bytes = WORD) -> socket.socket:
        """A connection on which a client has said something; closed at the end of the test."""
        client = self._open.enter_context(self.served.connect("raw.test", port))
        client.sendall(words)
        return client

    def flow(self, port: int) -> socket.socket:
        """An allowed flow that has carried something."""
        client = self.connect(port)
        assert client.recv(10) == WORD
        return client

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.workplace.records() if each["kind"] == kind]

    def spread(self) -> Counter[int]:
        """How many connections each worker has allowed."""
        flows = [each["flow"]["flow"] for each in self.records("verdict")]
        return Counter(each // FLOWS_EACH for each in flows)


@contextmanager
def shared(workplace: Workplace, policy: Path, *more: str) -> Iterator[Shared]:
    with ExitStack() as stack, serve(workplace, policy, *WORKERS, *more) as served:
        made = Shared(workplace, served, stack)
        made.pids()
        yield made


@pytest.fixture
def policy(workplace: Workplace, raw_server: RawServer) -> Path:
    return workplace.policy(POLICY, raw=raw_server.port, https=1, http=2)


@needs("curl", "nginx")
def test_an_agent_is_served_by_all_and_every_chain_is_whole(
    workplace: Workplace, nginx: Nginx, raw_server: RawServer
) -> None:
    policy = workplace.policy(POLICY, raw=raw_server.port, https=nginx.https, http=nginx.http)
    workplace.options = WORKERS
    script = f"""
        for i in 1 2 3 4; do
            curl -sS --max-time 60 https://origin.test:{nginx.https}/hello &
            curl -sS --max-time 60 --http2 http://origin.test:{nginx.http}/hello &
        done; wait
        curl -s http://denied.test/ | grep rule:
        curl -s --max-time 60 http://198.18.77.77/ | grep "rule:"
    """
    ran = workplace.shell(policy, script)
    assert ran.out.count("hello from nginx\n") == 8, ran.err
    assert ran.out.endswith("  rule: default\n  rule: guards.private-addresses\n")
    (denied,) = ran.denied("default")[:1]
    assert denied["request"]["host"] == "denied.test"
    assert denied["actor"]["process"]["exe"].endswith("curl")
    chains = {each.name for each in workplace.log.iterdir()} - {"checkpoints"}
    assert chains == {"gate-0", "gate-0.1", "gate-0.2", "depth-0"}
    result = verify(workplace.log)
    assert result.status == "intact"


def test_flows_are_shared_and_a_worker_that_dies_takes_only_its_own(
    workplace: Workplace, policy: Path, raw_server: RawServer
) -> None:
    metrics, relaying = free_port(), 'firewall_flows{state="relaying"}'
    with shared(workplace, policy, "--metrics", str(metrics)) as here:
        flows = [here.flow(raw_server.port) for _ in range(8)]
        eventually(lambda: _samples(metrics).get(relaying) == 8)
        spread = here.spread()
        assert min(spread[1], spread[2]) >= 3, spread
        before = here.pids()
        os.kill(before[0], signal.SIGKILL)
        died = eventually(lambda: here.records("worker.died"))[0]
        assert (died["worker"], died["writes"], died["flows"]) == (1, "gate-0.1", spread[1])
        assert "signal 9" in died["reason"]
        assert sum(map(_answers, flows)) == spread[2], "the other worker's flows go on"
        eventually(lambda: _samples(metrics)[relaying] == spread[2])
        after = here.pids()
        assert before[1] in after
        assert before[0] not in after
        flows = [here.flow(raw_server.port) for _ in range(6)]
        eventually(lambda: _allowed(metrics) == 14)  # what a worker has counted outlives it
        assert max(here.spread()) == 3, "the third process has numbers of its own"
        assert _samples(metrics)['firewall_worker_restarts_total{worker="1"}'] == 1
        loads = [_samples(metrics)[f'firewall_worker_flows{{worker="{each}"}}'] for each in (1, 2)]
        assert sum(loads) == spread[2] + 6
        here.served.process.kill()
        assert all(ended(each) for each in flows), "without the gate nothing passes"
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in after))
        with pytest.raises(ConnectionRefusedError):
            here.served.connect("raw.test", raw_server.port)


def _allowed(metrics: int) -> float:
    samples = _samples(metrics).items()
    return sum(value for name, value in samples if 'verdicts_total{action="allow"' in name)


def _answers(client: socket.socket) -> bool:
    try:
        client.sendall(WORD)
        return client.recv(10) == WORD
    except ConnectionError:
        return False


def test_a_quarantine_its_end_and_a_new_policy_reach_all(
    workplace: Workplace, policy: Path, raw_server: RawServer
) -> None:
    with shared(workplace, policy) as here:
        flows = [here.flow(raw_server.port) for _ in range(4)]
        assert ended(here.connect(raw_server.port, STRATUM))
        assert all(ended(each) for each in flows)
        assert here.ask(do="quarantine", freeze=False)["state"] == "quarantined"
        assert all(ended(here.connect(raw_server.port)) for _ in range(4))
        status = here.ask(do="release")
        assert status["state"] == "running"
        for _ in range(4):
            here.flow(raw_server.port)
        policy.write_text(policy.read_text().replace("hosts: [raw.test]", "hosts: [other.test]"))
        eventually(lambda: here.ask(do="status")["digest"] != status["digest"])
        here.pids()
        assert all(ended(here.connect(raw_server.port)) for _ in range(4))
    (closed,) = here.records("quarantine")
    assert closed["rule"] == "guards.mining"
    assert closed["flows"] >= 4
    rules = Counter(each["verdict"]["rule"] for each in here.records("verdict"))
    assert (rules["quarantine"], rules["default"]) == (4, 4)
    assert verify(workplace.log).status == "intact"


def test_limits_are_exact_over_all_workers(workplace: Workplace, raw_server: RawServer) -> None:
    policy = workplace.policy(LIMITED, raw=raw_server.port)
    with shared(workplace, policy) as here:

        def passes(_: int) -> bool:
            with here.served.connect("raw.test", raw_server.port) as client:
                return _answers(client)

        with ThreadPoolExecutor(8) as clients:
            assert sum(clients.map(passes, range(40))) == 12
    verdicts = Counter(each["verdict"]["rule"] for each in here.records("verdict"))
    assert verdicts == {"raw": 12, "limits.raw": 28}
    assert len(here.spread()) == 2
