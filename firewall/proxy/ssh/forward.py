"""A forward of the agent's (-L, -W, -J, -D) that a rule allows: watched for its whole life."""

import asyncio
from collections.abc import Callable

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED

from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.inspect import FORWARD, Watched
from firewall.proxy.ssh.relay import FarEnd, NearEnd, Relay
from firewall.proxy.ssh.visit import Visit
from firewall.requests import SshKind


class FarForward(FarEnd, asyncssh.SSHTCPSession[bytes]):
    """The server's side of an open forward."""


class Forward(NearEnd, asyncssh.SSHTCPSession[bytes]):
    """The agent's side of an open forward."""

    def __init__(
        self, relay: Relay, far: asyncssh.SSHTCPChannel[bytes], ended: Callable[[], None]
    ) -> None:
        self.relay = relay
        self._far = far
        self._ended = ended

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._near = chan
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            await self.relay.run(self._near, self._far)
        finally:
            self._far.close()
            self._near.close()
            if self.relay.blocked is not None:
                self.relay.outcome = {"blocked": self.relay.blocked.rule}
            self.relay.finish()
            self._ended()


async def open_tcp(
    visit: Visit,
    upstream: asyncssh.SSHClientConnection,
    host: str,
    port: int,
    ended: Callable[[], None],
) -> Forward:
    """Open a forward that is allowed. Raises ChannelOpenError with what the agent is told."""
    detail = f"{host}:{port}"
    await _judge(visit, "local-forward", detail)
    relay = Relay(visit, "local-forward", detail, Watched(visit, FORWARD))
    channel, _ = await upstream.create_connection(lambda: FarForward(relay), host, port)
    return Forward(relay, channel, ended)


async def refuse_unix(visit: Visit, path: str) -> asyncssh.SSHUNIXSession[bytes]:
    """Forwards to sockets of the server are judged, and no rule can allow one."""
    await _judge(visit, "unix-local-forward", path)
    raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "the gateway opens no sockets of a server")


async def _judge(visit: Visit, kind: SshKind, detail: str) -> None:
    verdict = await visit.ask(kind, detail)
    if not verdict.allowed:
        raise asyncssh.ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, sentence(verdict))
