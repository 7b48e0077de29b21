"""Drive a `Transfer` as a gateway would: in a test by hand, or between two real programs.

Run as a program, it stands where `sftp -D` and `scp -S` expect theirs:

    python -m tests.unit.protocols.transfers LOG DENIED sftp COMMAND...
    python -m tests.unit.protocols.transfers LOG DENIED scp [what scp tells ssh]

It relays standard input and output to the command, denies every path that matches the pattern
DENIED, and writes what it saw to LOG.
"""

import json
import os
import selectors
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from firewall.protocols.files import Denial, Packet, Transfer, plain_path
from firewall.protocols.scp import Scp, parse_command
from firewall.protocols.sftp import Session

ROOT = Path(__file__).parents[3]


@dataclass
class Seen:
    """What passed: the requests judged, and the bytes of file data sent on each way."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0
    received: int = 0


class Gateway:
    """Denies every path that matches one pattern, and every ambiguous one."""

    def __init__(self, transfer: Transfer, denied: str = "") -> None:
        self.seen = Seen()
        self._transfer = transfer
        self._denied = denied

    def from_client(self, data: bytes) -> Denial:
        """What goes each way because of the client's bytes."""
        to_client = to_server = b""
        for packet in self._transfer.feed_client(data):
            denial = Denial(packet.answer) if packet.answer else self._judge(packet)
            to_client += denial.to_client if denial else b""
            to_server += b"" if denial else packet.raw
            self.seen.sent += 0 if denial else packet.size
        return Denial(to_client, to_server)

    def from_server(self, data: bytes) -> Denial:
        """What goes each way because of the server's bytes."""
        to_client = to_server = b""
        for packet in self._transfer.feed_server(data):
            denial = self._judge(packet)
            to_client += denial.to_client if denial else packet.raw
            to_server += denial.to_server if denial else b""
            self.seen.received += 0 if denial else packet.size
        return Denial(to_client, to_server)

    def _judge(self, packet: Packet) -> Denial | None:
        if not packet.requests:
            return None
        self.seen.requests += [(each.operation, each.verb, each.path) for each in packet.requests]
        for request in packet.requests:
            path = plain_path(request.path)
            if path is None or fnmatchcase(path, self._denied):
                return self._transfer.deny(packet, f"{request.path} is denied by the test")
        self._transfer.allow(packet)
        return None


def relay(gateway: Gateway, command: list[str]) -> int:
    """Relay this process's standard streams to the command's; returns its exit status."""
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        selectors.DefaultSelector() as selector,
    ):
        assert child.stdin
        assert child.stdout
        selector.register(0, selectors.EVENT_READ, gateway.from_client)
        selector.register(child.stdout, selectors.EVENT_READ, gateway.from_server)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                if data:
                    passed = key.data(data)
                    _write(1, passed.to_client)
                    _write(child.stdin.fileno(), passed.to_server)
                elif key.fd:
                    return child.wait()
                else:
                    selector.unregister(0)
                    child.stdin.close()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main(log: str, denied: str, kind: str, *arguments: str) -> int:
    transfer: Transfer = Session()
    command = list(arguments)
    if kind == "scp":
        parsed = parse_command(shlex.split(arguments[-1]))
        assert parsed, arguments
        transfer = Scp(parsed)
        command = ["sh", "-c", arguments[-1]]
    gateway = Gateway(transfer, denied)
    try:
        return relay(gateway, command)
    finally:
        Path(log).write_text(json.dumps(asdict(gateway.seen)))


def script(folder: Path, denied: str, kind: str, *command: str) -> tuple[Path, Path]:
    """A program that runs this module so, and the log that it will write."""
    program, log = folder / "between", folder / "log"
    words = [sys.executable, "-m", __name__, str(log), denied, kind, *command]
    path = shlex.quote(str(ROOT))
    program.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.join(words)} "$@"\n')
    program.chmod(0o700)
    return program, log


def read_log(log: Path) -> Seen:
    fields = json.loads(log.read_text())
    requests = [(operation, verb, path) for operation, verb, path in fields["requests"]]
    return Seen(requests, fields["sent"], fields["received"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
