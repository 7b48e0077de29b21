"""What the fleet keeps in JetStream: two streams that remember the last message of each subject.

    FIREWALL_POLICY  firewall.policy.GROUP          the group's signed bundle (policy/bundle.py)
    FIREWALL_FLEET   firewall.fleet.GROUP.SOURCE    what a node reports (report.py)

A message of more than 256 KiB is compressed, as records are (audit/ship/stream.py). Nodes read by
the JetStream API's direct get (ADR-31), whose subject names what is read, so that a server can
grant each node its own group alone; all others read what the stream itself states.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import field
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING

from firewall.audit.ship import NotTakenError, Settings
from firewall.audit.ship.stream import SECONDS, connect, shown, unpack
from firewall.frozen import frozen
from firewall.policy.bundle import SIZE_LIMIT, group

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

POLICIES = "FIREWALL_POLICY"
REPORTS = "FIREWALL_FLEET"
POLICY = "firewall.policy"
REPORT = "firewall.fleet"
ODD = (ValueError, KeyError, TypeError, AttributeError)
"""What nats-py raises for headers that it does not expect."""


@frozen
class Stored:
    """A message as the stream has it: its data unpacked, its number, when it was stored."""

    data: bytes
    seq: int
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


class UnreadableError(Exception):
    """What a group is offered cannot be read; the text says why."""


def policy_subject(name: str) -> str:
    """Where a group's bundle is. Raises ValueError for a name that is no plain token."""
    return f"{POLICY}.{group(name)}"


def report_subject(name: str, source: str) -> str:
    """Where a node of a group reports. Raises ValueError as `policy_subject`."""
    return f"{REPORT}.{group(name)}.{group(source)}"


@asynccontextmanager
async def connected(url: str, settings: Settings) -> "AsyncIterator[Client]":
    """A connection. Raises NotTakenError for whatever fails of it, in the body too."""
    from nats.errors import Error

    client = await connect(url, settings)
    try:
        yield client
    except (Error, OSError) as error:
        raise NotTakenError(f"{shown(url)}: {str(error) or type(error).__name__}") from None
    finally:
        await client.close()


def jetstream(client: "Client") -> "JetStreamContext":
    """The client's JetStream, with the time that its answers may take."""
    return client.jetstream(timeout=SECONDS)


async def make_streams(stream: "JetStreamContext") -> None:
    """Make the streams that are missing. One that stands is taken as its owner made it."""
    from nats.js.api import StorageType, StreamConfig
    from nats.js.errors import NotFoundError

    for name, subject in ((POLICIES, POLICY), (REPORTS, REPORT)):
        try:
            await stream.stream_info(name)
        except NotFoundError:
            wanted = StreamConfig(
                name=name,
                subjects=[f"{subject}.>"],
                storage=StorageType.FILE,
                max_msgs_per_subject=1,
                allow_direct=True,
            )
            await stream.add_stream(wanted)


async def stored(
    stream: "JetStreamContext", name: str, subject: str, limit: int = SIZE_LIMIT
) -> Stored | None:
    """The last message of a subject, as the stream itself states it; None where there is none.

    Of what is larger than `limit` bytes when unpacked, one byte more than that is there.
    """
    from nats.js.errors import NotFoundError

    try:
        found = await stream.get_msg(name, subject=subject)
    except NotFoundError:
        return None
    assert found.seq is not None
    assert found.time is not None
    headers = found.headers or {}
    return Stored(unpack(found.data or b"", headers, limit + 1), found.seq, found.time, headers)


async def last_messages(
    stream: "JetStreamContext", name: str, under: str, limit: int, at_once: int = 1
) -> AsyncIterator[tuple[tuple[str, ...], Stored]]:
    """The last message of each subject under this one, with what follows in the subject.

    Nothing where there is no such stream. `limit` is as for `stored`; so many messages are in
    memory as are asked for at once.
    """
    from nats.js.errors import NotFoundError

    try:
        known = await stream.stream_info(name, subjects_filter=f"{under}.>")
    except NotFoundError:
        return
    for some in batched(sorted(known.state.subjects or ()), at_once):
        messages = await asyncio.gather(*(stored(stream, name, each, limit) for each in some))
        for subject, message in zip(some, messages, strict=True):
            if message is not None:
                yield tuple(subject.removeprefix(f"{under}.").split(".")), message


async def offered(stream: "JetStreamContext", name: str) -> bytes | None:
    """The bundle that a group is offered, as far as a node may ask; None where there is none.

    Raises UnreadableError, and NotTakenError where nobody answers.
    """
    from nats.errors import NoRespondersError
    from nats.errors import TimeoutError as Unanswered
    from nats.js.errors import APIError, NotFoundError

    try:
        found = await stream.get_msg(POLICIES, subject=policy_subject(name), direct=True)
    except NotFoundError:
        return None
    except Unanswered:
        raise NotTakenError(
            f"{policy_subject(name)}: nobody answers for it; is there a stream {POLICIES} with"
            " direct gets, as fleet publish makes it, and may this user ask?"
        ) from None
    except (APIError, NoRespondersError, *ODD) as error:
        # The publisher's own headers come beside the server's, and must not end all reports.
        raise UnreadableError(f"its headers are those of no message: {error!r}") from None
    return unpack(found.data or b"", found.headers, SIZE_LIMIT + 1)
