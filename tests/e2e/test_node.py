"""`firewall node`: processes that were started without a network, attached while they run."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firewall.node.client import Node, NodeError
from tests.e2e.conftest import FIREWALL, Workplace, needs
from tests.e2e.servers import Certificates, Nginx
from tests.waiting import PATIENCE, eventually

pytestmark = [
    needs("curl", "nginx", "unshare", "nsenter", "setpriv", "ip"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a node must be root"),
]

POLICY = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1}
  rules:
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32], labels: {env: test}}
    - {name: plain, allow: http, hosts: [origin.test], ports: [{http}], methods: [GET],
       addresses: [127.0.0.1/32]}
"""


@dataclass
class House:
    """A daemon, and where it and its servers are."""

    workplace: Workplace
    nginx: Nginx
    config: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None

    @property
    def socket(self) -> str:
        return str(self.workplace.folder / "run" / "node.sock")

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *as_the_unit(),
                *FIREWALL,
                "node",
                "serve",
                "--config",
                str(self.config),
                "--label",
                "env=test",
                *self.options,
            ],
            env=self.workplace.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        assert "listening at" in (said := self.process.stderr.readline()), said

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        said = self.process.stderr.read()
        assert "Traceback" not in said, said
        self.process.stderr.close()
        self.process = None
        return status

    def node(self) -> Node:
        return Node(self.socket)

    def hello(self, inside: int) -> subprocess.CompletedProcess[str]:
        return curl(inside, f"https://origin.test:{self.nginx.https}/hello")


def as_the_unit() -> list[str]:
    """With no more capabilities than the systemd unit leaves to the daemon."""
    unit = (Path(__file__).parents[2] / "deploy/systemd/firewall-node.service").read_text()
    found = re.search(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)
    assert found
    kept = [f"+{each.removeprefix('CAP_').lower()}" for each in found[1].split()]
    return ["setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(kept)}", "--"]


def curl(inside: int, *words: str) -> subprocess.CompletedProcess[str]:
    """curl beside a process, told of nothing."""
    enter = ["nsenter", "-t", str(inside), "--net", "--mount", "--"]
    return subprocess.run(
        [*enter, "curl", "-sS", "-m", "30", "-w", "\n%{http_code}", *words],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.fixture(scope="module", params=["1", "2"], ids=["alone", "workers"])
def house(
    request: pytest.FixtureRequest, certificates: Certificates, nginx: Nginx
) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="fw-node-") as folder:
        Path(folder).chmod(0o755)
        workplace = Workplace(Path(folder), certificates)
        with served(workplace, nginx, "--workers", request.param) as house:
            yield house


@contextmanager
def served(workplace: Workplace, nginx: Nginx, *options: str) -> Iterator[House]:
    policy = workplace.policy(POLICY, https=nginx.https, http=nginx.http)
    config = workplace.folder / "node.yaml"
    config.write_text(
        "version: 1\n"
        f"socket: {workplace.folder}/run/node.sock\n"
        f"policies: {{coding: {policy}}}\n"
        "grants:\n"
        "  - {users: [nobody], do: [attach, release, status], policies: [coding]}\n"
    )
    made = House(workplace, nginx, config, options)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            assert made.stop() == 0


@contextmanager
def closed(*before: str, user: bool = False) -> Iterator[int]:
    """A process in a network namespace of its own with nothing in it."""
    words = [*before, "unshare", "--net", "--mount", *(["--map-root-user"] if user else [])]
    process = subprocess.Popen(
        [*words, "sh", "-c", "echo ready; exec sleep 1000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_an_attached_process_reaches_what_the_policy_allows_and_nothing_else(house: House) -> None:
    with closed() as pid, house.node() as node:
        before = curl(pid, "http://198.18.7.7/")
        assert before.returncode == 7, before
        told = node.attach(policy="coding", pid=pid, name="one")
        assert told["namespace"] == os.stat(f"/proc/{pid}/ns/net").st_ino
        assert told["trust"] == "mounted"
        done = house.hello(pid)
        assert done.stdout == "hello from nginx\n\n200", done.stderr
        for url in ("http://other.test/", "https://other.test/"):
            denied = curl(pid, url)
            assert "Blocked by the firewall" in denied.stdout, denied
        [shown] = [each for each in node.status() if each["name"] == "one"]
        assert (shown["name"], shown["policy"], shown["state"]) == ("one", "coding", "running")
        told = node.policies()["coding"]
        assert (told["version"], len(told["digest"]), Path(told["file"]).is_file()) == (0, 64, True)
    records = [each for each in house.workplace.records() if each["kind"] == "verdict"]
    records = [each for each in records if each["actor"]["sandbox"] == "one"]
    assert len(records) >= 6
    assert {each["actor"]["process"]["argv"][0] for each in records} == {"curl"}
    eventually(lambda: "one" not in _names(house))


def test_nothing_opens_when_the_daemon_dies_and_the_next_can_attach_again(house: House) -> None:
    with closed() as pid:
        with house.node() as node:
            node.attach(policy="coding", pid=pid)
        assert house.hello(pid).returncode == 0
        house.stop(signal.SIGKILL)
        for port in (house.nginx.https, house.nginx.http, 80):
            refused = curl(pid, f"http://198.18.7.7:{port}/")
            assert refused.returncode == 7, refused
            assert f"port {port}" in refused.stderr
        assert curl(pid, "http://origin.test/").returncode == 6
        house.start()
        assert curl(pid, "http://198.18.7.7/").returncode == 7
        with house.node() as node:
            node.attach(policy="coding", pid=pid)
        assert house.hello(pid).returncode == 0


def test_a_flow_that_is_open_when_the_daemon_dies_ends(house: House) -> None:
    with closed() as pid:
        with house.node() as node:
            node.attach(policy="coding", pid=pid)
        url = f"https://origin.test:{house.nginx.https}/large"
        flow = subprocess.Popen(
            ["nsenter", "-t", str(pid), "--net", "--mount", "--",
             "curl", "-sS", "--limit-rate", "64k", url],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert flow.stdout is not None
        assert flow.stdout.read(1000)
        house.stop(signal.SIGKILL)
        flow.stdout.read()
        assert flow.wait(PATIENCE) != 0
        flow.stdout.close()
        house.start()


def test_what_is_released_has_no_way_out_and_can_be_attached_again(house: House) -> None:
    with closed() as pid, house.node() as node:
        node.attach(policy="coding", pid=pid, name="again")
        with pytest.raises(NodeError, match="attached already"):
            node.attach(policy="coding", pid=pid, name="two")
        with (
            closed() as other,
            pytest.raises(NodeError, match="there is a sandbox 'again' already"),
        ):
            node.attach(policy="coding", pid=other, name="again")
        node.release("again")
        assert curl(pid, "http://198.18.7.7/").returncode == 7
        assert "again" not in _names(house)
        node.attach(policy="coding", pid=pid, name="again")
        assert house.hello(pid).returncode == 0


def test_the_path_of_a_namespace_will_do(house: House) -> None:
    with closed() as pid, house.node() as node:
        told = node.attach(policy="coding", namespace=f"/proc/{pid}/ns/net")
        assert told["name"] == f"net-{told['namespace']}"
        assert "Blocked" in curl(pid, "http://198.18.7.7/").stdout


def test_a_network_is_made_for_an_engine_to_join(house: House) -> None:
    with house.node() as node:
        path = node.create(policy="coding", name="pool-1")["path"]
        enter = ["nsenter", f"--net={path}", "--"]
        done = subprocess.run(
            [*enter, "curl", "-sS", "-m", "30", "http://198.18.7.7/"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert "Blocked by the firewall" in done.stdout, done
        node.release("pool-1")
        assert not os.path.exists(path)


def test_a_quarantine_is_one_sandboxs_own(house: House) -> None:
    with closed() as one, closed() as other, house.node() as node:
        node.attach(policy="coding", pid=one, name="shut")
        node.attach(policy="coding", pid=other, name="other")
        assert house.hello(one).returncode == 0
        assert node.quarantine("shut")["state"] == "quarantined"
        shut = curl(one, "http://198.18.7.7/")
        assert "firewall node reopen shut" in shut.stdout, shut
        assert house.hello(other).stdout == "hello from nginx\n\n200"
        assert node.reopen("shut")["state"] == "running"
        assert house.hello(one).stdout == "hello from nginx\n\n200"


def test_a_network_with_another_way_out_is_refused(house: House) -> None:
    with closed() as pid, closed() as far, house.node() as node:
        add = f"link add way-out netns {pid} type veth peer name far netns {far}"
        subprocess.run(["ip", *add.split()], check=True)
        with pytest.raises(NodeError, match="way-out leads out of it besides the firewall"):
            node.attach(policy="coding", pid=pid)
        assert f"pid-{pid}" not in _names(house)


def test_the_hosts_own_network_is_refused(house: House) -> None:
    with house.node() as node:
        for place in ({"pid": os.getpid()}, {"namespace": "/proc/self/ns/net"}):
            with pytest.raises(NodeError, match="the network of the host itself"):
                node.attach(policy="coding", **place)
        with pytest.raises(NodeError, match="is no network namespace"):
            node.attach(policy="coding", namespace="/proc/self/ns/mnt")
        with pytest.raises(NodeError, match="no policy 'other'; it has: coding"):
            node.create(policy="other", name="x")


def test_who_asks_is_told_by_the_kernel(house: House) -> None:
    """Nobody may attach what is his own; others' is not, and is not even seen."""
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with closed() as roots, closed(*nobody, user=True) as own, house.node() as node:
        node.attach(policy="coding", pid=roots, name="roots")
        with _connected_as(65534, house) as his:
            with pytest.raises(NodeError, match="uid 65534 may not attach"):
                his.attach(policy="coding", pid=roots)
            with pytest.raises(NodeError, match="no sandbox 'roots' that you may release"):
                his.release("roots")
            assert his.status() == []
            assert his.attach(policy="coding", pid=own, name="his")["owner"] == 65534
            assert [each["name"] for each in his.status()] == ["his"]
            with pytest.raises(NodeError, match="may not create"):
                his.create(policy="coding", name="mine")


@contextmanager
def _connected_as(uid: int, house: House) -> Iterator[Node]:
    """The kernel keeps who a process was when it connected (unix(7), SO_PEERCRED)."""
    os.seteuid(uid)
    try:
        node = house.node()
    finally:
        os.seteuid(0)
    with node:
        yield node


def test_the_command_says_what_it_did(house: House) -> None:
    environment = {**house.workplace.environment, "FIREWALL_NODE": house.socket}

    def firewall(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FIREWALL, "node", *words],
            check=False, capture_output=True, text=True, env=environment,
        )  # fmt: skip

    with closed() as pid:
        done = firewall("attach", "--policy", "coding", "--pid", str(pid), "--name", "said")
        assert done.stdout == "said is attached, under the policy coding\n", done.stderr
        assert re.search("^said +coding +running ", firewall("status").stdout, re.MULTILINE)
        assert firewall("release", "said").stdout == "said has no way out any more\n"
        done = firewall("release", "said")
        assert (done.returncode, "there is no sandbox 'said'" in done.stderr) == (1, True)


def _names(house: House) -> list[str]:
    with house.node() as node:
        return [each["name"] for each in node.status()]


def test_a_node_holds_no_secret_of_a_policy_that_is_loaded_again(house: House) -> None:
    """The daemon's environment is its own; what needs something of it is denied, and says so."""
    policy = house.workplace.folder / "policy" / "policy.yaml"
    text = policy.read_text()
    with closed() as pid, house.node() as node:
        node.attach(policy="coding", pid=pid)
        before = node.policies()["coding"]["digest"]
        inject = 'inject: {header: x-key, from: "env:PATH"}, labels'
        policy.write_text(text.replace("labels", inject, 1))
        assert house.process is not None
        house.process.send_signal(signal.SIGHUP)
        try:
            assert eventually(lambda: node.policies()["coding"]["digest"] != before)
            assert eventually(lambda: "hold secrets" in house.hello(pid).stdout)
        finally:
            policy.write_text(text)
            house.process.send_signal(signal.SIGHUP)
            assert eventually(lambda: node.policies()["coding"]["digest"] == before)
