"""asyncssh's hooks for one connection of the agent."""

from collections import Counter
from collections.abc import Awaitable
from functools import partial

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_RESOURCE_SHORTAGE

from firewall.judge import fail_closed, probe
from firewall.protocols.ssh import hassh
from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.doors import JudgedChannel, JudgedConnection
from firewall.proxy.ssh.forward import Forward, open_tcp, refuse_unix
from firewall.proxy.ssh.session import Session
from firewall.proxy.ssh.upstream import KnownHosts, UnreachableError, connect
from firewall.proxy.ssh.visit import BlockedError, Outcome, Visit
from firewall.verdict import Verdict


class Server(asyncssh.SSHServer):
    """The gateway as the agent's client sees it. Whoever may log in proves nothing: the agent is
    known by its sandbox, and it is the gateway that logs in upstream."""

    def __init__(self, visit: Visit, hosts: KnownHosts) -> None:
        self._visit = visit
        self._hosts = hosts
        self._open: Counter[str] = Counter()
        self._upstream: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        assert isinstance(conn, JudgedConnection)
        self._connection = conn

    async def begin_auth(self, username: str) -> bool:
        """Judge the login and log in upstream; whoever may not is told why and sent away."""
        outcome = Outcome()
        visit = self._visit
        with fail_closed(visit.judge, "ssh.login", outcome.settle, actor=visit.given.actor):
            probe("ssh.login")
            outcome.settle(await self._login(username))
        if not outcome.verdict.allowed:
            self._connection.send_away(sentence(outcome.verdict))
        return False

    async def _login(self, username: str) -> Verdict:
        visit = self._visit
        visit.user = username
        visit.known |= self._described()
        verdict = await visit.ask("login", username)
        if verdict.allowed:
            visit.follow(verdict)
            try:
                self._upstream = await connect(visit, self._hosts)
            except BlockedError as error:
                return error.verdict
            except UnreachableError as error:
                self._connection.send_away(str(error))
        return verdict

    def _described(self) -> dict[str, str]:
        version = self._connection.get_extra_info("client_version", "")
        fingerprint = hassh(self._connection._client_kexinit)  # noqa: SLF001
        return {"client_version": version, "client_hassh": fingerprint}

    # Channels. Their requests are judged by their channel (doors.JudgedChannel).

    def session_requested(self) -> tuple[JudgedChannel, Awaitable[Session]]:
        return JudgedChannel(self._visit, self._connection), self._session()

    async def _session(self) -> Session:
        await self._count("sessions", self._visit.terms.limits.sessions)
        return Session(self._visit, self._logged_in(), partial(self._uncount, "sessions"))

    async def _count(self, what: str, limit: int) -> None:
        """Count another that is open. Raises ChannelOpenError where that is one too many."""
        if self._open[what] >= limit:
            verdict = await self._visit.ask("limit", f"more than {limit} {what} at once")
            if not verdict.allowed:
                raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, sentence(verdict))
        self._open[what] += 1

    def _uncount(self, what: str) -> None:
        self._open[what] -= 1

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[Forward]:
        return self._forward(dest_host, dest_port)

    async def _forward(self, host: str, port: int) -> Forward:
        await self._count("forwards", self._visit.terms.limits.forwards)
        ended = partial(self._uncount, "forwards")
        try:
            return await open_tcp(self._visit, self._logged_in(), host, port, ended)
        except BaseException:
            ended()
            raise

    def unix_connection_requested(
        self, dest_path: str
    ) -> Awaitable[asyncssh.SSHUNIXSession[bytes]]:
        return refuse_unix(self._visit, dest_path)

    def _logged_in(self) -> asyncssh.SSHClientConnection:
        if self._upstream is None:
            raise asyncssh.ChannelOpenError(
                OPEN_ADMINISTRATIVELY_PROHIBITED, "the gateway is not logged in"
            )
        return self._upstream

    async def leave(self) -> None:
        """Log out upstream."""
        if self._upstream is not None:
            self._upstream.abort()
            await self._upstream.wait_closed()
