"""SFTP and scp on their way through: every path is judged before its packet goes on."""

from collections.abc import Callable

from firewall.protocols import ProtocolError, sftp
from firewall.protocols.files import FileRequest, Packet, Transfer, plain_path
from firewall.protocols.scp import Scp, parse_command
from firewall.proxy.refusal import sentence
from firewall.proxy.ssh.inspect import SESSION, Inspector, Watched
from firewall.proxy.ssh.visit import UNJUDGED, BlockedError, Visit
from firewall.requests import Direction, Finding, SshKind
from firewall.verdict import Verdict
from firewall.words import simple_words

type Reply = Callable[[Direction, bytes], None]
"""Sends bytes of the gateway's own to the server ("sent") or to the agent ("received")."""

_KINDS: dict[str, SshKind] = {"read": "read-file", "write": "write-file"}


def inspector_for(visit: Visit, kind: SshKind, asked: str, reply: Reply) -> Inspector:
    """SFTP and scp are read packet by packet, all else is watched."""
    if kind == "subsystem" and asked == "sftp":
        return Files(visit, sftp.Session(), reply)
    command = parse_command(simple_words(asked) or ()) if kind == "exec" else None
    return Files(visit, Scp(command), reply) if command else Watched(visit, SESSION)


class Files:
    """Follows one transfer. What is denied is answered in its protocol, and the session goes on."""

    def __init__(self, visit: Visit, transfer: Transfer, reply: Reply) -> None:
        self._visit = visit
        self._transfer = transfer
        self._reply = reply
        self._beside = Watched(visit, SESSION)
        sides: tuple[Direction, ...] = ("sent", "received")
        self._secrets = {each: visit.judge.vault.stream(SESSION, each) for each in sides}

    async def sent(self, data: bytes, datatype: int | None) -> bytes:
        if datatype is not None:
            return await self._beside.sent(data, datatype)
        return await self._pass_on("sent", self._transfer.feed_client, data)

    async def received(self, data: bytes, datatype: int | None) -> bytes:
        if datatype is not None:
            return await self._beside.received(data, datatype)
        return await self._pass_on("received", self._transfer.feed_server, data)

    async def _pass_on(
        self, direction: Direction, feed: Callable[[bytes], list[Packet]], data: bytes
    ) -> bytes:
        await self._visit.spend(direction, len(data))
        if findings := self._secrets[direction].feed(data):
            await self._visit.ask_about(SESSION, direction, findings)
        try:
            return b"".join([await self._judge(direction, packet) for packet in feed(data)])
        except ProtocolError as error:
            malformed = Finding("protocol-mismatch", "file-transfer", str(error), direction)
            await self._visit.ask_about(SESSION, direction, (malformed,))
            raise BlockedError(UNJUDGED) from error

    async def _judge(self, direction: Direction, packet: Packet) -> bytes:
        """What goes on in the packet's direction: itself, or what stands for a denial."""
        if packet.answer:
            self._reply("received", packet.answer)
            return b""
        if not packet.requests:
            return packet.raw
        denied = await self._first_denied(packet.requests)
        if denied is None:
            self._transfer.allow(packet)
            return packet.raw
        denial = self._transfer.deny(packet, sentence(denied))
        if direction == "sent":
            self._reply("received", denial.to_client)
            return denial.to_server
        self._reply("sent", denial.to_server)
        return denial.to_client

    async def _first_denied(self, requests: tuple[FileRequest, ...]) -> Verdict | None:
        for request in requests:
            verdict = await self._visit.ask(_KINDS[request.operation], self._path(request.path))
            if not verdict.allowed:
                return verdict
        return None

    def _path(self, path: str) -> str:
        """The path as policies are written: below the login's home from a tilde on."""
        plain = plain_path(path)
        if plain is None:
            return path
        home = self._transfer.home
        if plain.startswith("/"):
            inside = home and (plain == home or plain.startswith(f"{home}/"))
            return "~" + plain.removeprefix(home) if inside else plain
        return "~" if plain == "." else f"~/{plain}"
