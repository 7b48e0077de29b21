"""`firewall serve` as the tests run it: on a port of the kernel's choice, and heard out."""

import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import FIREWALL, Workplace
from tests.waiting import PATIENCE


class Served:
    """A running `firewall serve`; `said` is what it has printed so far, line by line."""

    def __init__(self, process: subprocess.Popen[str], port: int, said: list[str]) -> None:
        self.process = process
        self.port = port
        self.said = said

    def connect(self, host: str, port: int) -> socket.socket:
        """A tunnel through the proxy, by CONNECT."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            assert byte, reply
            reply += byte
        assert b" 200 " in reply
        return client

    def memory(self) -> int:
        """Resident bytes of the process and its children."""
        pids = [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids += [int(each) for each in children.read_text().split()]
        return sum(_resident(each) for each in pids)


def _resident(pid: int) -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) * 1024 if match else 0


@contextmanager
def serve(workplace: Workplace, policy: Path, *more: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [*FIREWALL, "serve", "--policy", str(policy), "--listen", "127.0.0.1:0", *more],
        env=workplace.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = [process.stderr.readline()]
    match = re.search(r"proxy on 127\.0\.0\.1:(\d+)", said[0])
    assert match, said[0] + process.stderr.read()
    drain = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    drain.start()
    try:
        yield Served(process, int(match[1]), said)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        drain.join()
        process.stderr.close()
