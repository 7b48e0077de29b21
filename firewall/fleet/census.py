"""Reads from JetStream, and from a receiver's folder, what an overview is made of."""

from pathlib import Path

from firewall.audit.ship import Settings
from firewall.fleet import records
from firewall.fleet.overview import Asked, Node, Offer, node, offer
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
from firewall.policy.bundle import group as named

type Found = dict[tuple[str, ...], Stored]


async def census(
    url: str, settings: Settings, asked: Asked, ingested: Path | None
) -> tuple[list[Offer], list[Node]]:
    """All groups and all nodes. `ingested` is where `audit ingest` keeps the logs.

    Raises NotTakenError where the server does not answer, OSError where the folder cannot be read.
    """
    async with connected(url, settings) as client:
        stream = jetstream(client)
        policies = await last_messages(stream, POLICIES, POLICY)
        reports = await last_messages(stream, REPORTS, REPORT)
        if ingested is None:
            tells = await records.of_stream(stream)
        else:
            tells = records.of_folder(ingested, asked.now)
    odd = _take_odd(policies, 1) + _take_odd(reports, 2)
    groups = dict.fromkeys([*(key[0] for key in policies), *(key[0] for key in reports)])
    offers = {name: offer(name, policies.get((name,)), asked.trust) for name in groups}
    nodes = [
        node(group, source, last, offers[group], tells(source), asked)
        for (group, source), last in reports.items()
    ]
    return [*offers.values(), *odd], nodes


def _take_odd(found: Found, length: int) -> list[Offer]:
    """Take out what no group and no node can have published."""
    odd = [key for key in found if len(key) != length or not all(map(_is_name, key))]
    for key in odd:
        del found[key]
    return [Offer(".".join(key), trouble="no group and no node is called so") for key in odd]


def _is_name(text: str) -> bool:
    try:
        return bool(named(text))
    except ValueError:
        return False
