"""Reads from JetStream, and from a receiver's folder, what an overview is made of."""

from typing import TYPE_CHECKING

from firewall.audit.ship import Settings
from firewall.fleet.overview import Asked, Node, Offer, node, offer
from firewall.fleet.records import AT_ONCE, Tells, of_stream
from firewall.fleet.report import REPORT_LIMIT
from firewall.fleet.wire import (
    POLICIES,
    POLICY,
    REPORT,
    REPORTS,
    Stored,
    connected,
    jetstream,
    last_messages,
)
from firewall.policy.bundle import SIZE_LIMIT
from firewall.policy.bundle import group as named

if TYPE_CHECKING:
    from nats.js import JetStreamContext


async def census(
    url: str, settings: Settings, asked: Asked, tells: Tells | None = None
) -> tuple[list[Offer], list[Node]]:
    """All groups and all nodes. `tells` knows of their logs; by default their stream does.

    Raises NotTakenError where the server does not answer, and what `tells` raises.
    """
    async with connected(url, settings) as client:
        stream = jetstream(client)
        offers = await _offers(stream, asked)
        reports = await _reports(stream)
        tells = tells or await of_stream(stream)
    nodes, odd = [], []
    for key, last in reports:
        if len(key) != 2 or not all(map(_is_name, key)):
            odd.append(_odd(key))
            continue
        group, source = key
        offered = offers.setdefault((group,), Offer(group, trouble="nothing is published for it"))
        nodes.append(node(group, source, last, offered, tells(source), asked))
    return sorted([*offers.values(), *odd], key=lambda each: each.group), nodes


async def _offers(stream: "JetStreamContext", asked: Asked) -> dict[tuple[str, ...], Offer]:
    """What each group is offered. One bundle at a time is in memory: it may be a large one."""
    found = {}
    async for key, last in last_messages(stream, POLICIES, POLICY, SIZE_LIMIT):
        usual = len(key) == 1 and _is_name(key[0])
        found[key] = offer(key[0], last, asked) if usual else _odd(key)
    return found


async def _reports(stream: "JetStreamContext") -> list[tuple[tuple[str, ...], Stored]]:
    messages = last_messages(stream, REPORTS, REPORT, REPORT_LIMIT, AT_ONCE)
    return [each async for each in messages]


def _odd(key: tuple[str, ...]) -> Offer:
    """What no group and no node can have published."""
    return Offer(".".join(key), trouble="no group and no node is called so")


def _is_name(text: str) -> bool:
    try:
        return bool(named(text))
    except ValueError:
        return False
