"""asyncssh's own doors, each behind the judge.

asyncssh keeps every variable, allows agent forwarding unless told otherwise, and has no hook for
unknown requests or for the end of a forward that never was. Here every request of a connection and
of a session's channel waits for its verdict before asyncssh sees it (asyncssh connection.py and
channel.py, `_service_next_request` and `_service_next_global_request`).
"""

from typing import Protocol

import asyncssh
from asyncssh.channel import SSHServerChannel
from asyncssh.connection import SSHServerConnection, SSHServerConnectionOptions
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_KEXINIT, OPEN_ADMINISTRATIVELY_PROHIBITED
from asyncssh.packet import SSHPacket

from firewall.judge import fail_closed, probe
from firewall.protocols.ssh import guesses_wrong
from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.visit import Outcome, Visit
from firewall.requests import SshKind
from firewall.verdict import Verdict

WINDOW = 2 << 20
"""Bytes that a peer may send before it is read (RFC 4254 section 5.2)."""
PACKET = 32 << 10
_ABOUT_NOTHING = frozenset(
    {
        "break",
        "eow@openssh.com",
        "exit-status",
        "keepalive@openssh.com",
        "no-more-sessions@openssh.com",
        "signal",
        "simple@putty.projects.tartarus.org",
        "window-change",
        "winadj@putty.projects.tartarus.org",
        "xon-xoff",
    }
)
"""Requests that ask for nothing new (RFC 4254 section 6; OpenSSH PROTOCOL section 2; PuTTY's
manual, appendix F)."""

_KINDS: dict[str, SshKind] = {
    "auth-agent-req@openssh.com": "agent",
    "cancel-streamlocal-forward@openssh.com": "cancel-remote-forward",
    "cancel-tcpip-forward": "cancel-remote-forward",
    "env": "env",
    "exec": "exec",
    "pty-req": "pty",
    "shell": "shell",
    "streamlocal-forward@openssh.com": "unix-remote-forward",
    "subsystem": "subsystem",
    "tcpip-forward": "remote-forward",
    "x11-req": "x11",
}
_WITH_DETAIL = frozenset({"env", "exec", "subsystem"})
_EXPLAINED = frozenset({"exec", "shell", "subsystem"})
_JUDGED_OPEN = frozenset({"session", "direct-tcpip", "direct-streamlocal@openssh.com"})
_TUN = "tun@openssh.com"


class JudgedConnection(SSHServerConnection):
    """The agent's connection."""

    def __init__(self, visit: Visit, options: SSHServerConnectionOptions) -> None:
        super().__init__(visit.loop, options, wait=None)
        self._visit = visit

    async def _process_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """asyncssh takes a wrong guess for a right one where only the order differs; dropbear's
        client guesses."""
        await super()._process_kexinit(pkttype, pktid, packet)
        if guesses_wrong(self._client_kexinit, self._server_kexinit):
            self._ignore_first_kex = True

    def _service_next_global_request(self) -> None:
        self.create_task(self._judge_global_request())

    async def _judge_global_request(self) -> None:
        actor = self._visit.given.actor
        with fail_closed(self._visit.judge, "ssh.global", self._give_up, actor=actor):
            probe("ssh.global")
            await self._answer_global_request()

    def _give_up(self, verdict: Verdict) -> None:
        """What cannot be judged, perhaps because it is malformed, ends the connection."""
        self.send_away(sentence(verdict))

    async def _answer_global_request(self) -> None:
        """No reverse forward passes whatever the verdict: nobody here could carry it out."""
        handler, packet, _ = self._global_request_queue[0]
        name = _name_in(packet)
        if name not in _ABOUT_NOTHING:
            kind = _KINDS.get(name, "unknown")
            verdict = await self._visit.ask(kind, _listener(name, packet))
            self._report_global_response(False)
            if kind in ("remote-forward", "unix-remote-forward"):
                self.send_away(sentence(verdict))
        elif handler is None:
            self._report_global_response(False)
        else:
            super()._service_next_global_request()

    def send_away(self, text: str) -> None:
        """End the connection with a text that its client shows. asyncssh's own `disconnect` closes
        the channels first, after which OpenSSH's client may not read on."""
        self._send_disconnect(asyncssh.DISC_BY_APPLICATION, text, "")
        self._force_close(None)

    def _process_channel_open(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        opening = SSHPacket(packet.get_remaining_payload())
        name = opening.get_string().decode("ascii", "replace")
        if name in _JUDGED_OPEN:
            super()._process_channel_open(pkttype, pktid, packet)
        else:
            self.create_task(self._judge_open(name, opening.get_uint32()))

    _packet_handlers = {  # noqa: RUF012 (asyncssh's own table, by which packets find their way)
        **SSHServerConnection._packet_handlers,  # noqa: SLF001
        MSG_CHANNEL_OPEN: _process_channel_open,
        MSG_KEXINIT: _process_kexinit,
    }

    async def _judge_open(self, name: str, channel: int) -> None:
        actor = self._visit.given.actor
        with fail_closed(self._visit.judge, "ssh.open", self._give_up, actor=actor):
            probe("ssh.open")
            await self._refuse_open(name, channel)

    async def _refuse_open(self, name: str, channel: int) -> None:
        kind: SshKind = "tun" if name == _TUN else "unknown"
        verdict = await self._visit.ask(kind, "" if kind == "tun" else f"channel {name}")
        code = OPEN_ADMINISTRATIVELY_PROHIBITED
        self.send_channel_open_failure(channel, code, sentence(verdict), "")


class Explains(Protocol):
    """A session that can say why it is refused, once it has begun."""

    def refuse(self, verdict: Verdict) -> None: ...


class JudgedChannel(SSHServerChannel[bytes]):
    """One session's channel. A command, shell or subsystem that is refused begins all the same, to
    say why: of a failed request OpenSSH's client says only that it failed."""

    _session: Explains  # type: ignore[assignment]

    def __init__(self, visit: Visit, connection: SSHServerConnection) -> None:
        terminal = (True, False, False, 0, 0)  # may have one, which nobody here edits lines for
        super().__init__(connection, visit.loop, *terminal, None, "strict", WINDOW, PACKET)
        self._visit = visit

    def _service_next_request(self) -> None:
        if self._request_queue[0][0] in _ABOUT_NOTHING:
            super()._service_next_request()
        else:
            self._conn.create_task(self._judge_request())

    async def _judge_request(self) -> None:
        name, packet, _ = self._request_queue[0]
        kind = _KINDS.get(name, "unknown")
        outcome = Outcome()
        actor = self._visit.given.actor
        with fail_closed(self._visit.judge, "ssh.channel", outcome.settle, actor=actor):
            probe("ssh.channel")
            outcome.settle(await self._visit.ask(kind, _detail(kind, name, packet)))
        if outcome.verdict.allowed and kind not in ("agent", "x11", "unknown"):
            super()._service_next_request()
            return
        if kind in _EXPLAINED:
            self._session.refuse(outcome.verdict)
        self._report_response(kind in _EXPLAINED)


def _name_in(packet: SSHPacket) -> str:
    """A global request's name: the packet is SSH_MSG_GLOBAL_REQUEST, read up to its own fields."""
    whole = SSHPacket(packet.get_consumed_payload())
    whole.get_byte()
    return whole.get_string().decode("ascii", "replace")


def _listener(name: str, packet: SSHPacket) -> str:
    """Where a forward would listen (RFC 4254 section 7.1; OpenSSH PROTOCOL section 2.4)."""
    fields = SSHPacket(packet.get_remaining_payload())
    kind = _KINDS.get(name)
    if kind is None:
        return f"request {name}"
    text = fields.get_string().decode("utf-8", "replace")
    return text if "streamlocal" in name else f"{text or '*'}:{fields.get_uint32()}"


def _detail(kind: SshKind, name: str, packet: SSHPacket) -> str:
    if kind in _WITH_DETAIL:
        fields = SSHPacket(packet.get_remaining_payload())
        return fields.get_string().decode("utf-8", "surrogateescape")
    return f"request {name}" if kind == "unknown" else ""
