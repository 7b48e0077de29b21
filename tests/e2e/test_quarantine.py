"""One critical attempt closes everything: the agent's flows, what it tries next, its processes."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.audit import verify
from tests.e2e.conftest import FIREWALL, Workplace, needs
from tests.e2e.servers import RawServer
from tests.e2e.serving import Served, serve
from tests.e2e.test_survival import ended
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: strict
extends: [base]
guards: {on-critical: {follows}}
network:
  names: {raw.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - {name: raw, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32]}
    - {name: web, allow: http, hosts: [origin.test], ports: [{http}], addresses: [127.0.0.1/32]}
"""

AGENT = r"""
(exec 3<>/dev/tcp/raw.test/$RAW; printf '\0\1\2\3' >&3; head -c4 <&3 >relayed
 cat <&3 >/dev/null 2>&1; date +%s.%N >relay.ended) &
(curl -s http://origin.test:$HTTP/endless >downloaded; echo $? >download.status
 date +%s.%N >download.ended) &
until [ -s relayed ] && [ -s downloaded ]; do sleep 0.05; done
echo open
read go
date +%s.%N >attacked
(exec 3<>/dev/tcp/raw.test/$RAW
 printf '{"id":1,"method":"mining.subscribe","params":[]}\n' >&3; cat <&3 >/dev/null 2>&1)
curl -s -w '%{http_code}\n' http://origin.test:$HTTP/late; echo refused
read go
curl -s -w '%{http_code}\n' http://origin.test:$HTTP/later; echo allowed
ls -A $STATE $STATE/run 2>/dev/null
"""


def web(client: socket.socket) -> None:
    """A download without an end, and short answers."""
    path = client.recv(65536).split()[1]
    if path != b"/endless":
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n")
        return
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        client.sendall(bytes(1000))
        time.sleep(0.01)


@pytest.fixture
def web_server() -> Iterator[RawServer]:
    server = RawServer(web)
    yield server
    server.close()


class Run:
    """A running `firewall run` or `serve` of a workplace, and the commands about it."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FIREWALL, *arguments],
            env=self.workplace.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def name(self) -> str:
        (socket,) = (self.workplace.folder / "state" / "run").glob("*.sock")
        return socket.stem

    def listed(self) -> list[str]:
        """The words of the only firewall that is listed."""
        lines = self.command("sandbox", "list").stdout.splitlines()
        assert lines[0].split() == ["name", "pid", "policy", "started", "state", "why"]
        (line,) = lines[1:]
        return line.split(maxsplit=5)

    def moment(self, name: str) -> float:
        path = self.workplace.work / name
        return float(eventually(lambda: path.exists() and path.read_text()) or 0)


@needs("curl", "python3")
def test_one_critical_attempt_closes_everything_until_it_is_released(
    workplace: Workplace, raw_server: RawServer, web_server: RawServer
) -> None:
    ports = {"raw": raw_server.port, "http": web_server.port}
    policy = workplace.policy(POLICY, follows="quarantine", **ports)
    state = workplace.environment["FIREWALL_STATE"]
    script = f"RAW={ports['raw']} HTTP={ports['http']} STATE={state}\n{AGENT}"
    process = workplace.start(policy, script, says="open")
    assert process.stdin is not None
    assert process.stdout is not None
    run = Run(workplace)
    name = run.name()
    assert (Path(state, "run").stat().st_mode & 0o777) == 0o700
    assert (Path(state, "run", f"{name}.sock").stat().st_mode & 0o777) == 0o600
    assert run.listed()[4:] == ["running"]
    process.stdin.write("go\n")
    process.stdin.flush()
    refused = _until(process, "refused\n")
    assert refused[-1] == "403\n"
    assert "  rule: quarantine\n" in refused
    assert f"  to allow it: firewall sandbox release {name}\n" in refused
    attacked = run.moment("attacked")
    for flow in ("relay", "download"):
        assert run.moment(f"{flow}.ended") - attacked < 5, flow
    assert (workplace.work / "download.status").read_text() != "0\n"
    listed = run.listed()
    assert listed[:1] + listed[2:3] + listed[4:5] == [name, "strict", "quarantined"]
    assert "guards.mining: stratum" in listed[5]
    assert run.command("sandbox", "release", "other").returncode == 1
    released = run.command("sandbox", "release", name)
    assert (released.returncode, released.stderr) == (0, "")
    assert run.listed()[4:] == ["running"]
    process.stdin.write("go\n")
    process.stdin.flush()
    out, err = process.communicate(timeout=PATIENCE)
    assert out == "ok\n200\nallowed\n", "and the agent sees nothing of the state directory"
    assert len(re.findall(r"all egress is closed since", err)) == 1
    assert list(Path(state, "run").iterdir()) == [], "the socket went with the firewall"
    _check_story(run, name)


def _check_story(run: Run, name: str) -> None:
    assert verify(run.workplace.log).status == "intact"
    records = run.workplace.records()
    told = [_told(each) for each in records if _told(each)]
    assert told.index("guards.mining") < told.index("quarantine")
    assert told.index("quarantine") < told.index("release")
    (closed,) = [each for each in records if each["kind"] == "quarantine"]
    assert (closed["sandbox"], closed["by"], closed["flows"]) == (name, "the policy", 2)
    assert closed["trigger"]["verdict"]["severity"] == "critical"
    flows = [each for each in records if each["kind"] == "flow" and each["received"] > 0]
    assert len(flows) == 3, "both that were cut and the one after the release are told"
    words = run.command("audit", "tail", "-n", "100").stdout
    assert "quarantine  all egress closed by the policy, 2 flows cut" in words
    assert "release  egress opened again by uid" in words
    shown = run.command("audit", "show", "--seq", f"{closed['chain']}:{closed['seq']}").stdout
    assert "because of guards.mining" in shown
    assert re.search(r"\n  upon  .*DENY   guards.mining  tcp raw.test", shown)


def _told(record: dict[str, Any]) -> str:
    if record["kind"] in ("quarantine", "release"):
        return str(record["kind"])
    if record["kind"] == "verdict" and record["verdict"]["action"] == "deny":
        return str(record["verdict"]["rule"])
    return ""


def _until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while (line := process.stdout.readline()) != last:
        assert line, "the agent has ended"
        lines.append(line)
    return lines


FORKING = r"""
(while true; do sleep 0.02; date +%s%N >tick; done) &
python3 -c 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)' &
echo ready
read go
(exec 3<>/dev/tcp/raw.test/RAW
 printf '{"id":1,"method":"mining.subscribe","params":[]}\n' >&3; cat <&3 >/dev/null 2>&1)
read go
kill %1; kill -KILL %2; echo done
"""


@needs("python3")
def test_freeze_stops_every_process_until_the_release(
    workplace: Workplace, raw_server: RawServer, web_server: RawServer
) -> None:
    policy = workplace.policy(POLICY, follows="freeze", raw=raw_server.port, http=web_server.port)
    process = workplace.start(policy, FORKING.replace("RAW", str(raw_server.port)), says="ready")
    assert process.stdin is not None
    run = Run(workplace)
    name = run.name()
    ticked = workplace.work / "tick"
    eventually(lambda: ticked.exists() and ticked.read_text())
    process.stdin.write("go\n")
    process.stdin.flush()
    eventually(lambda: run.listed()[4] == "frozen")
    states = _states(process.pid)
    assert len(states) >= 3
    assert set(states.values()) - {"Z"} == {"T"}, "all that are not dead are stopped"
    tick = ticked.read_text()
    assert run.command("sandbox", "quarantine", name, "--freeze").returncode == 0
    assert ticked.read_text() == tick
    assert run.command("sandbox", "release", name).returncode == 0
    eventually(lambda: ticked.read_text() not in (tick, ""))
    process.stdin.write("go\n")
    process.stdin.flush()
    out, err = process.communicate(timeout=PATIENCE)
    assert out == "done\n"
    assert re.search(r"its \d+ processes are stopped", err)
    kinds = [each["kind"] for each in workplace.records()]
    assert kinds.count("quarantine") == 2
    assert verify(workplace.log).status == "intact"


def _states(firewall: int) -> dict[int, str]:
    """The states of the agent's processes: below firewall, keeper and broker (namespaces.py)."""
    (keeper,) = _children(firewall)
    (broker,) = _children(keeper)
    waiting, states = _children(broker), {}
    for pid in waiting:
        states[pid] = _state(pid)
        waiting += _children(pid)
    return states


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for task in tasks for each in task.read_text().split()]


STRATUM = '{"id":1,"method":"mining.subscribe","params":[]}\n'


def _relayed_attack(proxy: Served, raw: int, url: str) -> None:
    """Seen by the gate: in a stream that a rule allows."""
    client = proxy.connect("raw.test", raw)
    client.sendall(STRATUM.encode())
    assert ended(client)


def _inspected_attack(proxy: Served, raw: int, url: str) -> None:
    """Seen by the depth process: in the body of a request that a rule allows."""
    command = ["curl", "-sx", f"http://127.0.0.1:{proxy.port}", "-d", STRATUM, f"{url}/post"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=PATIENCE)


@needs("curl")
@pytest.mark.parametrize("attack", [_relayed_attack, _inspected_attack])
def test_serve_closes_for_all_of_its_clients(
    workplace: Workplace,
    raw_server: RawServer,
    web_server: RawServer,
    attack: Callable[[Served, int, str], None],
) -> None:
    policy = workplace.policy(POLICY, follows="freeze", raw=raw_server.port, http=web_server.port)
    run = Run(workplace)
    with serve(workplace, policy) as proxy:
        url = f"http://origin.test:{web_server.port}"
        relayed = proxy.connect("raw.test", raw_server.port)
        relayed.sendall(b"\0\1\2\3")
        assert relayed.recv(10) == b"\0\1\2\3"
        download = subprocess.Popen(
            ["curl", "-sNx", f"http://127.0.0.1:{proxy.port}", f"{url}/endless"],
            stdout=subprocess.PIPE,
        )
        assert download.stdout is not None
        assert download.stdout.read(1)
        attack(proxy, raw_server.port, url)
        assert ended(relayed)
        with download.stdout:
            assert download.wait(PATIENCE) != 0
        assert "\n  rule: quarantine\n" in _fetch(proxy.port, url)
        assert _state(proxy.process.pid) != "T", "no process of the host is stopped"
        assert run.listed()[4] == "quarantined"
        assert run.command("sandbox", "release", run.name()).returncode == 0
        assert _fetch(proxy.port, url) == "ok\n"
    (closed,) = [each for each in workplace.records() if each["kind"] == "quarantine"]
    assert closed["trigger"]["verdict"]["rule"] == "guards.mining"
    blocked = [each for each in workplace.records() if _told(each) == "guards.mining"]
    assert len(blocked) == 1, "its own record is written as well"
    assert verify(workplace.log).status == "intact"
    assert "no firewall runs" in run.command("sandbox", "list").stdout


def _fetch(port: int, url: str) -> str:
    command = ["curl", "-sx", f"http://127.0.0.1:{port}", f"{url}/short"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
