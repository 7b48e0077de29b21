"""A NATS JetStream as the far end: one stream for the logs of many firewalls.

Subjects are `firewall.audit.<source>.<chain or checkpoints>`, a chain's dots written as `%2E`. Each
message is one line as it was written, with the header `Nats-Msg-Id: <source>:<chain>:<seq>`, by
which the server drops what comes twice within its window. A line that is large for a message is
compressed (`Content-Encoding: zstd`).
"""

import asyncio
import os
import re
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firewall.audit.ship.settings import Settings
from firewall.audit.ship.sink import NotTakenError
from firewall.audit.ship.tail import Item

if TYPE_CHECKING:
    from nats.aio.client import Client

SUBJECT = "firewall.audit"
SECONDS = 10.0
LARGE = 256 << 10
"""Bytes from which a line is compressed: servers take messages of 1 MiB unless told otherwise."""

_SOURCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def subject(source: str, chain: str) -> str:
    """Where items of a chain go. Raises ValueError for a source that is no plain token."""
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"source {source!r}: write 1 to 64 letters, digits, '_' or '-'")
    return f"{SUBJECT}.{source}.{chain.replace('.', '%2E')}"


def pack(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The payload of a message that carries this, and the headers that tell how."""
    if len(data) <= LARGE:
        return data, {}
    import zstandard

    return zstandard.compress(data), {"Content-Encoding": "zstd"}


def unpack(payload: bytes, headers: Mapping[str, str] | None, limit: int) -> bytes:
    """What `pack` was given, up to `limit` bytes; nothing where it cannot be unpacked."""
    if (headers or {}).get("Content-Encoding") != "zstd":
        return payload
    import zstandard

    try:
        return zstandard.ZstdDecompressor().stream_reader(payload).read(limit)
    except zstandard.ZstdError:
        return b""


async def connect(url: str, settings: Settings) -> "Client":
    """A connection to the first server of a comma-separated list that answers.

    It does not reconnect: whoever uses it backs off. Raises NotTakenError where none answers.
    """
    import nats
    from nats.errors import Error

    problems: list[Exception] = []

    async def heard(problem: Exception) -> None:
        problems.append(problem)

    secure = url.startswith("nats+tls://")
    servers = [each.replace("nats+tls://", "tls://", 1) for each in url.split(",")]
    options: dict[str, Any] = {"tls": settings.tls()} if secure else {}
    if settings.credentials is not None:
        options["user_credentials"] = str(settings.credentials)
    if token := os.environ.get("FIREWALL_NATS_TOKEN"):
        options["token"] = token
    try:
        return await asyncio.wait_for(
            nats.connect(
                servers,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=int(SECONDS),
                error_cb=heard,
                name="agent-firewall",
                **options,
            ),
            SECONDS,
        )
    except (TimeoutError, Error, OSError) as error:
        why = problems[0] if problems else error
        raise NotTakenError(f"{shown(url)}: {str(why) or type(why).__name__}") from None


class Stream:
    """Publishes to a stream and waits until it is stored. The connection lives on a thread."""

    def __init__(self, url: str, settings: Settings) -> None:
        subject(settings.source, "")
        self._url = url
        self._settings = settings
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def send(self, items: Sequence[Item]) -> int:
        self._run(self._publish(items))
        return 0

    def close(self) -> None:
        self._run(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _publish(self, items: Sequence[Item]) -> None:
        """All at once; the first that is not stored makes the whole batch come again."""
        if self._client is None or not self._client.is_connected:
            await self._disconnect()
            self._client = await connect(self._url, self._settings)
        stream = self._client.jetstream(timeout=SECONDS)
        found = await asyncio.gather(
            *(self._one(stream, item) for item in items), return_exceptions=True
        )
        failed = [each for each in found if isinstance(each, BaseException)]
        if failed:
            why = str(failed[0]) or type(failed[0]).__name__
            await self._disconnect()
            raise NotTakenError(f"{shown(self._url)} stored {len(found) - len(failed)}: {why}")

    async def _one(self, stream: Any, item: Item) -> None:
        source = self._settings.source
        payload, headers = pack(item.line)
        headers["Nats-Msg-Id"] = f"{source}:{item.chain}:{item.seq}"
        await stream.publish(subject(source, item.chain), payload, headers=headers)

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def shown(url: str) -> str:
    """A URL without what may be a password or a token in it."""
    return re.sub(r"//[^@/,]*@", "//", url)
