"""What the SSH gateway costs, beside the same client straight to the same sshd.

    uv run python -m tests.bench.ssh [rounds]

Prints medians over rounds that take turns, and their ratios: exec round trips on one connection,
new connections, and a stream of bytes each way. As root, with sshd installed.
"""

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh

from firewall.proxy.explicit import ESTABLISHED
from tests.e2e.conftest import FIREWALL, Workplace
from tests.e2e.servers import Certificates, free_port, wait_for_port
from tests.e2e.upstreams import Sshd

EXECS = 50
CONNECTS = 10
MEGABYTES = 64
FILE = Path(tempfile.gettempdir()) / "firewall-bench-ssh"
POLICY = """
version: 1
name: bench
network:
  names: {box.test: 127.0.0.1}
  rules:
    - name: box
      allow: ssh
      hosts: [box.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      commands: ["*"]
      files: {read: ["/**"]}
      host-keys: learn
      login: {key: {key}}
"""

type Connect = Callable[[], contextlib.AbstractAsyncContextManager[asyncssh.SSHClientConnection]]


async def _execs(connect: Connect) -> float:
    """Milliseconds of one exec on an open connection."""
    async with connect() as client:
        took = []
        for _ in range(EXECS):
            began = time.perf_counter()
            await client.run("true")
            took.append(time.perf_counter() - began)
        return statistics.median(took) * 1000


async def _connects(connect: Connect) -> float:
    """Milliseconds of one connection with one exec."""
    took = []
    for _ in range(CONNECTS):
        began = time.perf_counter()
        async with connect() as client:
            await client.run("true")
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


async def _upload(connect: Connect) -> float:
    """MB/s to `cat >/dev/null`."""
    async with connect() as client:
        data = os.urandom(MEGABYTES << 20)
        began = time.perf_counter()
        await client.run("cat >/dev/null", input=data, encoding=None)
        return len(data) / 1e6 / (time.perf_counter() - began)


async def _download(connect: Connect) -> float:
    """MB/s from `cat` of a file."""
    async with connect() as client:
        began = time.perf_counter()
        done = await client.run(f"cat {FILE}", encoding=None)
        return len(done.stdout or b"") / 1e6 / (time.perf_counter() - began)


async def _scp(connect: Connect) -> float:
    """MB/s of scp by its own protocol."""
    async with connect() as client:
        began = time.perf_counter()
        await asyncssh.scp((client, str(FILE)), f"{FILE}.copy", block_size=256 << 10)
        return (MEGABYTES << 20) / 1e6 / (time.perf_counter() - began)


async def _fetch(connect: Connect) -> float:
    """MB/s of SFTP, with many requests under way at once."""
    async with connect() as client, client.start_sftp_client() as sftp:
        began = time.perf_counter()
        await sftp.get(str(FILE), f"{FILE}.copy")
        return (MEGABYTES << 20) / 1e6 / (time.perf_counter() - began)


MEASURES: dict[str, Callable[[Connect], Awaitable[float]]] = {
    "exec, ms": _execs,
    "connection with one exec, ms": _connects,
    "upload, MB/s": _upload,
    "download, MB/s": _download,
    "scp download, MB/s": _scp,
    "SFTP download, MB/s": _fetch,
}
CIPHER = ["aes128-gcm@openssh.com"]


async def _compare(direct: Connect, through: Connect, rounds: int) -> None:
    print(f"{'':32}{'direct':>10}{'gateway':>10}{'ratio':>8}")
    for name, measure in MEASURES.items():
        pairs = [(await measure(direct), await measure(through)) for _ in range(rounds)]
        one, other = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name:32}{one:10.1f}{other:10.1f}{ratio:8.2f}")


def _connector(port: int, key: Path, proxy: int | None) -> Connect:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[asyncssh.SSHClientConnection]:
        options: dict[str, Any] = {"known_hosts": None, "config": None, "agent_path": None}
        options |= {"client_keys": [str(key)], "username": "root", "encryption_algs": CIPHER}
        end = socket.create_connection(("127.0.0.1", proxy or port))
        if proxy is not None:
            end.sendall(f"CONNECT box.test:{port} HTTP/1.1\r\nHost: box.test\r\n\r\n".encode())
            answer = end.recv(len(ESTABLISHED), socket.MSG_WAITALL)
            assert answer == ESTABLISHED, answer
        end.setblocking(False)
        async with asyncssh.connect(sock=end, **options) as client:
            yield client

    return connect


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c").mkdir()
        (folder / "s").mkdir()
        workplace = Workplace(folder, Certificates(folder / "c"))
        sshd = Sshd(folder / "s")
        sshd.key.chmod(0o600)
        FILE.write_bytes(os.urandom(MEGABYTES << 20))
        policy = workplace.policy(POLICY, port=sshd.port, key=sshd.key)
        port = free_port()
        command = [*FIREWALL, "serve", "--policy", str(policy), "--listen", str(port)]
        process = subprocess.Popen(command, env=workplace.environment)
        try:
            wait_for_port(port)
            direct = _connector(sshd.port, sshd.key, None)
            asyncio.run(_compare(direct, _connector(sshd.port, sshd.key, port), rounds))
        finally:
            process.terminate()
            process.wait()
            sshd.close()
            FILE.unlink()
            Path(f"{FILE}.copy").unlink()


if __name__ == "__main__":
    main()
