"""A session of the agent's, relayed: a command, a shell or a subsystem that may be had."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncssh

from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.doors import PACKET, WINDOW, JudgedChannel
from firewall.proxy.ssh.files import inspector_for
from firewall.proxy.ssh.relay import FarEnd, NearEnd, Relay
from firewall.proxy.ssh.visit import Visit
from firewall.requests import Direction, SshKind
from firewall.verdict import Verdict

FAILED = 255
"""The exit status that OpenSSH's client uses for its own failures (ssh(1))."""

type Terminal = tuple[str, tuple[int, int, int, int], Any]


class FarSession(FarEnd, asyncssh.SSHClientSession[bytes]):
    """The server's side."""

    def exit_status_received(self, status: int) -> None:
        self.relay.outcome["status"] = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.relay.outcome["signal"] = signal


class Session(NearEnd, asyncssh.SSHServerSession[bytes]):
    """The agent's side. What reaches it here is allowed already."""

    def __init__(
        self,
        visit: Visit,
        upstream: asyncssh.SSHClientConnection,
        ended: Callable[[], None],
    ) -> None:
        self._visit = visit
        self._upstream = upstream
        self._ended = ended
        self._terminal: Terminal | None = None
        self._far: asyncssh.SSHClientChannel[bytes] | None = None
        self._kind: SshKind = "shell"
        self._asked = ""
        self._refused: Verdict | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        assert isinstance(chan, JudgedChannel)
        self._near = chan
        self._prepare("shell", "")

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any
    ) -> bool:
        self._terminal = (term_type, term_size, term_modes)
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._prepare("exec", command)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._prepare("subsystem", subsystem)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._ended()

    def refuse(self, verdict: Verdict) -> None:
        """Say why, once it has begun, and end (doors.Explains)."""
        self._refused = verdict

    def session_started(self) -> None:
        if self._refused is not None:
            self._tell(sentence(self._refused))
            self._near.exit(FAILED)
        else:
            self._task = asyncio.ensure_future(self._run())

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._far is not None:
            self._far.change_terminal_size(width, height, pixwidth, pixheight)

    def signal_received(self, signal: str) -> None:
        if self._far is not None:
            self._far.send_signal(signal)

    def break_received(self, msec: int) -> bool:
        if self._far is not None:
            self._far.send_break(msec)
        return self._far is not None

    def _prepare(self, kind: SshKind, asked: str) -> None:
        self._kind, self._asked = kind, asked
        inspector = inspector_for(self._visit, kind, asked, self._reply)
        self.relay = Relay(self._visit, kind, asked, inspector)

    def _reply(self, direction: Direction, data: bytes) -> None:
        end = self._far if direction == "sent" else self._near
        if end is not None and data:
            end.write(data)

    async def _run(self) -> None:
        """Start the same upstream and relay until it ends."""
        try:
            self._far = await self._open()
            await self.relay.run(self._near, self._far)
        except (asyncssh.Error, OSError) as error:
            self._tell(f"The server did not start it: {error}")
            self.relay.outcome.setdefault("status", FAILED)
        finally:
            self._end()

    async def _open(self) -> asyncssh.SSHClientChannel[bytes]:
        term_type, term_size, term_modes = self._terminal or (None, (), ())
        channel, _ = await self._upstream.create_session(
            lambda: FarSession(self.relay),
            command=self._asked if self._kind == "exec" else None,
            subsystem=self._asked if self._kind == "subsystem" else None,
            env=list(self._near.get_environment_bytes().items()),
            request_pty="force" if self._terminal else False,
            term_type=term_type,
            term_size=term_size,
            term_modes=term_modes,
            x11_forwarding=False,
            encoding=None,
            window=WINDOW,
            max_pktsize=PACKET,
        )
        return channel

    def _end(self) -> None:
        if self.relay.blocked is not None:
            self._tell(sentence(self.relay.blocked))
            self.relay.outcome = {"blocked": self.relay.blocked.rule}
        if self._far is not None:
            self._far.abort()
        self._exit()
        self.relay.finish()

    def _exit(self) -> None:
        outcome = self.relay.outcome
        if "signal" in outcome:
            self._near.exit_with_signal(outcome["signal"])
        else:
            self._near.exit(outcome.get("status", FAILED))

    def _tell(self, text: str) -> None:
        if not self._near.is_closing():
            self._near.write_stderr(f"{text}\r\n".encode())
