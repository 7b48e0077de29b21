"""What it must survive: crowds, drips, stalls, garbage, floods, full disks, and bad reloads."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from firewall.audit import verify
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Nginx, RawServer
from tests.e2e.serving import Served, serve
from tests.waiting import PATIENCE, eventually

PROXY = """
version: 1
name: t
extends: [base]
network:
  names: {raw.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - {name: raw, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32]}
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], addresses: [127.0.0.1/32]}
    - {name: plain, allow: http, hosts: [origin.test], ports: [{http}], addresses: [127.0.0.1/32]}
"""


CONSENT = ", addresses: [127.0.0.1/32]"


@pytest.fixture
def policy(workplace: Workplace, raw_server: RawServer, nginx: Nginx) -> Path:
    return workplace.policy(PROXY, raw=raw_server.port, https=nginx.https, http=nginx.http)


def ended(client: socket.socket) -> bool:
    client.settimeout(PATIENCE)
    with client:
        try:
            return client.recv(100) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


@needs("nginx")
@pytest.mark.timeout(600)
def test_five_thousand_connections_at_once(
    workplace: Workplace, policy: Path, raw_server: RawServer
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 16_000:
        pytest.skip(f"this machine lets a process have {hard} descriptors")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients: list[socket.socket] = []
    try:
        with serve(workplace, policy) as proxy:
            clients += [proxy.connect("raw.test", raw_server.port) for _ in range(5000)]
            for number, client in enumerate(clients):
                client.sendall(b"\x00\x01" + number.to_bytes(4))
            for number, client in enumerate(clients):
                client.settimeout(PATIENCE)
                assert client.recv(6) == b"\x00\x01" + number.to_bytes(4)
            assert proxy.memory() < 400 << 20
            for client in clients:
                client.close()
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    report = verify(workplace.log)
    assert report.status == "intact"
    allowed = [each for each in workplace.records() if each.get("verdict", {}).get("rule") == "raw"]
    assert len(allowed) == 5000


@needs("nginx")
def test_a_client_that_drips_is_cut_and_disturbs_nobody(
    workplace: Workplace, policy: Path, raw_server: RawServer
) -> None:
    with serve(workplace, policy) as proxy:
        slow = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        slow.sendall(b"C")
        stalled = proxy.connect("origin.test", 443)
        stalled.sendall(b"\x16\x03")
        with proxy.connect("raw.test", raw_server.port) as other:
            other.sendall(b"\x00\x01\x02\x03")
            assert other.recv(10) == b"\x00\x01\x02\x03"
        assert ended(slow)
        assert ended(stalled)


@needs("nginx", "curl")
def test_a_client_that_stops_reading_costs_no_memory(
    workplace: Workplace, policy: Path, nginx: Nginx
) -> None:
    url = f"http://origin.test:{nginx.http}/large"
    with serve(workplace, policy) as proxy:
        before = proxy.memory()
        stalled = [_stalled(proxy, url) for _ in range(5)]
        # Beside one that is read to its end, the others had time to grow.
        size = _curl(proxy, url, "-o", "/dev/null", "-w", "\n%{size_download}")
        grown = proxy.memory() - before
        for each in stalled:
            each.close()
    assert int(size.split()[0]) == 64 << 20
    assert grown < 250 << 20, "five stalled downloads of 64 MB, and mitmproxy's own start"


def _stalled(proxy: Served, url: str) -> socket.socket:
    """A download of which only the first bytes are read."""
    client = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    client.sendall(f"GET {url} HTTP/1.1\r\nHost: {url.split('/')[2]}\r\n\r\n".encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


@needs("nginx", "curl")
@pytest.mark.timeout(600)
def test_a_large_download_streams_at_flat_memory(
    workplace: Workplace, raw_server: RawServer, nginx: Nginx
) -> None:
    """Ten gigabytes by FIREWALL_TEST_GIGABYTES=10; less by default, to be fast."""
    size = int(float(os.environ.get("FIREWALL_TEST_GIGABYTES", "0.4")) * 1e9)

    def download(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        left, chunk = size, bytes(1 << 20)
        while left:
            left -= client.send(chunk[:left])

    raw_server._serve = download
    policy = workplace.policy(PROXY, raw=1, https=nginx.https, http=raw_server.port)
    with serve(workplace, policy) as proxy:
        arguments = ["curl", "-sx", f"http://127.0.0.1:{proxy.port}", "-o", "/dev/null"]
        arguments += ["-w", "%{size_download}", f"http://origin.test:{raw_server.port}/"]
        curl = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        peak = 0
        while curl.poll() is None:
            peak = max(peak, proxy.memory())
            time.sleep(0.1)  # how often it is looked at, no more
        assert curl.stdout is not None
        assert curl.stdout.read() == str(size)
        curl.stdout.close()
    assert peak < 400 << 20


@needs("nginx", "curl")
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (lambda client: None, "closed"),
        (lambda client: client.sendall(b"\x00\xff garbage \r\n\r\n"), "server"),
        (lambda client: client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "server"),
    ],
    ids=["closes", "garbage", "bad length"],
)
def test_a_bad_upstream_is_a_readable_502(
    workplace: Workplace,
    policy: Path,
    raw_server: RawServer,
    nginx: Nginx,
    behaviour: object,
    words: str,
) -> None:
    raw_server._serve = behaviour  # type: ignore[assignment]
    policy = workplace.policy(PROXY, raw=1, https=nginx.https, http=raw_server.port)
    with serve(workplace, policy) as proxy:
        done = _curl(proxy, f"http://origin.test:{raw_server.port}/")
    assert done.startswith("502 "), done
    assert words in done


def _curl(proxy: Served, url: str, *more: str) -> str:
    arguments = ["curl", "-sx", f"http://127.0.0.1:{proxy.port}", "-w", "\n%{http_code}", *more]
    body, _, status = subprocess.run(
        [*arguments, url], check=False, capture_output=True, text=True, timeout=PATIENCE
    ).stdout.rpartition("\n")
    return f"{status} {body}"


@needs("nginx", "curl")
def test_an_upstream_that_is_down_is_a_readable_502(workplace: Workplace, nginx: Nginx) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    policy = workplace.policy(PROXY, raw=1, https=nginx.https, http=port)
    with serve(workplace, policy) as proxy:
        done = _curl(proxy, f"http://origin.test:{port}/")
    assert done.startswith("502 "), done
    assert "refused" in done.lower()


@needs("nginx", "curl", "mount", "umount")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_denies_and_recovers(
    workplace: Workplace, policy: Path, raw_server: RawServer
) -> None:
    disk = workplace.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=True)
    filler = disk / "filler"
    try:
        with serve(workplace, policy, "--log", str(disk / "audit")) as proxy:
            assert _echo(proxy, raw_server) == b"\x00\x01\x02\x03"
            _fill(filler)
            # The log's last page may have room for a record or two more.
            eventually(lambda: _echo(proxy, raw_server) == b"")
            received = len(raw_server.received)
            assert _echo(proxy, raw_server) == b""
            assert len(raw_server.received) == received, "no byte passed without a record"
            filler.unlink()
            eventually(lambda: _echo(proxy, raw_server) != b"")
            assert len(raw_server.received) == received + 1, "nor did one come late"
        assert verify(disk / "audit").status in ("intact", "torn")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        shutil.rmtree(disk)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass


def _echo(proxy: Served, server: RawServer) -> bytes:
    with proxy.connect("raw.test", server.port) as client:
        client.sendall(b"\x00\x01\x02\x03")
        client.settimeout(PATIENCE)
        try:
            return client.recv(10)
        except ConnectionResetError:
            return b""


@needs("nginx")
def test_a_new_policy_takes_force_and_a_bad_one_does_not(
    workplace: Workplace, policy: Path, raw_server: RawServer, nginx: Nginx
) -> None:
    good = policy.read_text()
    with serve(workplace, policy) as proxy:
        assert _echo(proxy, raw_server) != b""
        policy.write_text(good.replace("allow: tcp", "allow: nonsense"))
        eventually(lambda: "the old policy stays in force" in "".join(proxy.said))
        assert _echo(proxy, raw_server) != b""
        policy.write_text(
            good.replace("name: raw, allow: tcp", "name: raw, deny: tcp").replace(CONSENT, "")
        )
        eventually(lambda: _echo(proxy, raw_server) == b"")
    kinds = [each["kind"] for each in workplace.records()]
    assert kinds.count("policy") == 1


@needs("nginx", "curl")
def test_a_depth_process_that_dies_takes_only_its_flows_and_is_replaced(
    workplace: Workplace, policy: Path, raw_server: RawServer, nginx: Nginx
) -> None:
    url = f"http://origin.test:{nginx.http}/hello"
    with serve(workplace, policy) as proxy:
        assert _curl(proxy, url) == "200 hello from nginx\n"
        with proxy.connect("raw.test", raw_server.port) as other:
            other.sendall(b"\x00\x01")
            assert other.recv(10) == b"\x00\x01"
            children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children")
            os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
            eventually(lambda: "depth.died" in [each["kind"] for each in workplace.records()])
            other.sendall(b"\x02\x03")
            assert other.recv(10) == b"\x02\x03"
        assert _curl(proxy, url) == "200 hello from nginx\n"
    assert verify(workplace.log).status in ("intact", "torn")
