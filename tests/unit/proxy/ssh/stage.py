"""An agent's asyncssh client, the gateway under a real policy, and an asyncssh server behind it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from firewall.actor import Actor
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.ssh.gateway import Gateway
from firewall.sandbox import Authority
from firewall.verdict import Action, Obligations, Verdict
from tests.unit.proxy.stage import CURL, Memory

HOST = "box.test"
ALLOWED = Verdict(Action.ALLOW, "box", "", obligations=Obligations(ssh="gateway"))

POLICY = """
version: 1
name: test
mode: {mode}
network:
  names: {{box.test: 127.0.0.1}}
  rules:
    - name: box
      allow: ssh
      hosts: [box.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      users: [git]
      commands: ["git-upload-pack *", "cat", "status *", "die"]
      host-keys: ["{fingerprint}"]
      login: {{key: {key}}}
      {more}
"""


@dataclass
class Far:
    """The server behind the gateway: whom it lets in, and what it was asked."""

    authorized: str
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    started: list[tuple[str | None, str | None, dict[str, str]]] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    async def handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        environment = dict(process.env)
        self.started.append((process.command, process.subsystem, environment))
        words = (process.command or "").split()
        match words:
            case ["cat"]:
                async for data in _pieces(process.stdin):
                    process.stdout.write(data)
                process.exit(0)
            case ["status", number]:
                process.stderr.write(b"about to end")
                process.exit(int(number))
            case ["die"]:
                process.exit_with_signal("KILL")
            case _:
                process.stdout.write(b"done")
                process.exit(0)


async def _pieces(reader: Any) -> AsyncIterator[bytes]:
    while data := await reader.read(65536):
        yield data


class Server(asyncssh.SSHServer):
    def __init__(self, far: Far) -> None:
        self._far = far

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def begin_auth(self, username: str) -> bool:
        self._conn.set_authorized_keys(asyncssh.import_authorized_keys(self._far.authorized))
        return True

    def auth_completed(self) -> None:
        self._far.connections.append(self._conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "open sesame"

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        self._far.connected.append((dest_host, dest_port))
        return True


class Stage:
    """`agent` opens one connection through the gateway; `memory` holds its records."""

    def __init__(self, gateway: Gateway, memory: Memory, far: Far, port: int) -> None:
        self.gateway = gateway
        self.memory = memory
        self.far = far
        self.port = port
        self.served: list[asyncio.Task[None]] = []
        self.traffic = Traffic()
        self.verdict = ALLOWED

    @contextlib.asynccontextmanager
    async def agent(
        self, user: str = "git", **options: Any
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        end = self.socket()
        options = {"known_hosts": None, "config": None, "client_keys": None, **options}
        async with asyncssh.connect(HOST, self.port, sock=end, username=user, **options) as agent:
            yield agent

    def socket(self) -> socket.socket:
        """The agent's end of a new flow."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            end = socket.create_connection(listener.getsockname())
            accepted, address = listener.accept()
        accepted.setblocking(False)
        end.setblocking(False)
        given = Handover(
            kind="intercept",
            flow=1,
            client=address,
            host=HOST,
            port=self.port,
            address="127.0.0.1",
            protocol="ssh",
            sni=None,
            actor=Actor("test", CURL),
            verdict=self.verdict,
        )
        serving = self.gateway.serve(accepted, given, self.traffic)
        self.served.append(asyncio.ensure_future(serving))
        return end

    def asked(self) -> list[tuple[str, str, str]]:
        """Action, kind and detail of everything asked for inside SSH, but the login."""
        return [each for each in self.everything() if each[1] != "login"]

    def everything(self) -> list[tuple[str, str, str]]:
        return [
            (each["verdict"]["action"], each["request"]["kind"], each["request"]["detail"])
            for each in self.memory.records
            if each["kind"] == "verdict" and each["request"]["type"] == "SshChannel"
        ]

    def notes(self) -> list[dict[str, Any]]:
        """How channels ended."""
        return [each for each in self.memory.records if each["kind"] == "ssh.channel"]


@contextlib.asynccontextmanager
async def stage(
    folder: Path, more: str = "", *, mode: str = "enforce", policy: str = POLICY, **values: str
) -> AsyncIterator[Stage]:
    """`more` is added to the rule, `values` replace those of the policy (fingerprint, key)."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    key = folder / "key"
    user_key.write_private_key(key)
    far = Far(user_key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Server(far),
        server_host_keys=[host_key],
        process_factory=far.handle,
        encoding=None,
    )
    usual = {"fingerprint": host_key.get_fingerprint(), "key": str(key)}
    path = folder / "policy.yaml"
    path.write_text(policy.format(port=server.get_port(), more=more, mode=mode, **(usual | values)))
    memory = Memory()
    judge = Judge(load_policy(path), memory, memory, memory)
    known = values.get("known_hosts", "")
    gateway = Gateway(judge, Authority.ensure(folder / "authority").directory, known)
    made = Stage(gateway, memory, far, server.get_port())
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.wait_for(asyncio.gather(*made.served, return_exceptions=True), 60)
