"""The addon in a real mitmdump, as a mitmproxy user would run it."""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from firewall.audit import Key, verify
from tests.e2e.servers import wait_for_port
from tests.unit.proxy.http.stage import HOST, SUBSCRIBE, Stage, answering, read_all, swallow, until
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
POLICY = """
version: 1
name: test
network:
  names: {good.test: 127.0.0.1, inner.test: 10.0.0.1}
  rules:
    - name: good
      allow: https
      hosts: [good.test]
      ports: [PORT]
      methods: [GET]
      addresses: ["127.0.0.0/8"]
      labels: {env: ci}
    - {name: inner, allow: https, hosts: [inner.test], ports: [PORT]}
"""


class Mitmdump:
    """A running mitmdump with the addon."""

    def __init__(self, stage: Stage, folder: Path, server_port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        policy = folder / "policy.yaml"
        policy.write_text(POLICY.replace("PORT", str(server_port)))
        self.context = ssl.create_default_context(cafile=stage.our_ca)
        self.command = [
            *(str(Path(sys.executable).with_name("mitmdump")), "-q"),
            *("--listen-host", "127.0.0.1", "-p", str(self.port)),
            *("-s", str(ROOT / "addons/egress.py")),
            *("--set", f"confdir={stage.authority}", "--set", f"audit={folder / 'audit'}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={stage.upstream_ca}"),
        ]
        self.policy = ["--set", f"policy={policy}", "--set", "labels=env=ci"]

    def client(self) -> httpx.Client:
        proxy = f"http://127.0.0.1:{self.port}"
        return httpx.Client(proxy=proxy, verify=self.context, trust_env=False, timeout=PATIENCE)

    def rules(self) -> list[str]:
        paths = sorted((self.folder / "audit").rglob("*.log"))
        records = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        return [each["verdict"]["rule"] for each in records if "verdict" in each]


@contextlib.contextmanager
def mitmdump(stage: Stage, folder: Path, server_port: int) -> Iterator[Mitmdump]:
    here = Mitmdump(stage, folder, server_port)
    with subprocess.Popen([*here.command, *here.policy]) as process:
        try:
            wait_for_port(here.port)
            yield here
        finally:
            process.terminate()


def test_stock_mitmproxy_enforces_the_policy(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with mitmdump(stage, tmp_path, server.port) as here, here.client() as client:
            allowed = client.get(f"https://{HOST}:{server.port}/a")
            denied = client.post(f"https://{HOST}:{server.port}/b", content=b"secret")
            unknown = client.get(f"https://evil.test:{server.port}/c")
            inner = client.get(f"https://inner.test:{server.port}/d")
            plain = client.get(f"http://{HOST}:{server.port}/e")
            codes = [each.status_code for each in (allowed, denied, unknown, inner, plain)]
        assert codes == [200, 403, 403, 403, 403]
        assert allowed.text == "hello"
        assert denied.headers["x-firewall-rule"] == "default"
        assert inner.headers["x-firewall-rule"] == "guards.private-addresses"
        assert b"secret" not in server.received
        assert server.connections == 1
        assert here.rules()[:3] == ["good", "good", "good"]
        assert {"default", "guards.private-addresses"} <= set(here.rules())
        key = Key.parse((stage.authority / "firewall" / "audit-key.pub").read_text().strip())
        found = verify(tmp_path / "audit", key)
        assert found.status == "intact"
        assert found.checkpoints.count >= 1
        assert found.chains[0].signed == found.chains[0].records


def test_mining_inside_tls_never_leaves(tmp_path: Path) -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        with (
            mitmdump(stage, tmp_path, server.port) as here,
            socket.create_connection(("127.0.0.1", here.port), timeout=PATIENCE) as plain,
        ):
            place = f"{HOST}:{server.port}"
            plain.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            assert until(plain, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            with here.context.wrap_socket(plain, server_hostname=HOST) as client:
                client.sendall(SUBSCRIBE)
                assert read_all(client) == b""
        assert "guards.mining" in here.rules()
        assert server.connections == 0


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ([], "no policy, no start"),
        (["--set", "policy=/nonexistent.yaml"], "nonexistent.yaml"),
        (["--set", "policy=base", "--set", "labels=ci"], "write it as --label env=ci"),
    ],
)
def test_without_a_good_policy_it_does_not_start(
    extra: list[str], why: str, tmp_path: Path
) -> None:
    with Stage() as stage:
        here = Mitmdump(stage, tmp_path, 1)
        command = [each for each in here.command if each != "-q"]
        ended = subprocess.run(
            [*command, *extra], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode != 0
        assert why in ended.stdout + ended.stderr
