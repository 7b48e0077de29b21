"""Serves one agent's SSH connection after the other, or many at once."""

import asyncio
import contextlib
import socket
from collections import Counter
from pathlib import Path

from asyncssh.connection import SSHServerConnectionOptions

from firewall.judge import Judge
from firewall.protocols.ssh import disconnect
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.doors import JudgedConnection
from firewall.proxy.ssh.keys import HostKeys
from firewall.proxy.ssh.server import Server
from firewall.proxy.ssh.upstream import CIPHERS, KnownHosts
from firewall.proxy.ssh.visit import Visit

VERSION = "agent-firewall"
LOGIN_SECONDS = 60
LOOK_SECONDS = 1
"""How often a connection's limits of time are looked at."""
LINGER_SECONDS = 2
CONNECTIONS = 128
"""SSH connections at once of one sandbox."""


class Gateway:
    """Ends SSH connections. `authority` is the folder of the keys, `known_hosts` what is known of
    servers' keys. Raises OSError where the keys cannot be read."""

    def __init__(self, judge: Judge, authority: Path, known_hosts: str) -> None:
        self._judge = judge
        self._keys = HostKeys(authority)
        self.hosts = KnownHosts(known_hosts, authority / "learnt_hosts")
        self._open: Counter[str] = Counter()

    async def serve(self, client: socket.socket, given: Handover, traffic: Traffic) -> None:
        """Serve one connection until it ends, counted in `traffic`; closes the socket."""
        visit = Visit(self._judge, given, traffic)
        sandbox = given.actor.sandbox
        if self._open[sandbox] >= CONNECTIONS:
            await self._turn_away(client, visit)
            return
        self._open[sandbox] += 1
        try:
            await self._serve(client, visit)
        finally:
            self._open[sandbox] -= 1

    async def _turn_away(self, client: socket.socket, visit: Visit) -> None:
        verdict = await visit.ask("limit", f"more than {CONNECTIONS} SSH connections at once")
        with client, contextlib.suppress(OSError):
            client.send(disconnect(sentence(verdict)))
            await _linger(client)

    async def _serve(self, client: socket.socket, visit: Visit) -> None:
        server = Server(visit, self.hosts)
        options = await SSHServerConnectionOptions.construct(
            server_factory=lambda: server,
            server_host_keys=[self._keys.of(visit.host)],
            server_version=VERSION,
            encryption_algs=CIPHERS,
            compression_algs=None,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            login_timeout=LOGIN_SECONDS,
            encoding=None,
            line_editor=False,
        )
        loop = asyncio.get_running_loop()
        held = client.dup()
        _, connection = await loop.create_connection(
            lambda: JudgedConnection(visit, options), sock=client
        )
        watchdog = asyncio.ensure_future(self._bound(visit, connection))
        try:
            await connection.wait_closed()
            await _linger(held)
        finally:
            held.close()
            watchdog.cancel()
            connection.abort()
            await server.leave()

    async def _bound(self, visit: Visit, connection: JudgedConnection) -> None:
        """End a connection that has been idle, or open, for longer than its rule allows."""
        while (excess := visit.overdue()) is None:
            await asyncio.sleep(LOOK_SECONDS)
        verdict = await visit.ask("limit", excess)
        connection.send_away(sentence(verdict))


async def _linger(client: socket.socket) -> None:
    """Wait for the client's end, so that no reset overtakes the words that sent it away."""
    with contextlib.suppress(OSError, TimeoutError):
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LINGER_SECONDS):
            while await asyncio.get_running_loop().sock_recv(client, 1 << 16):
                pass
