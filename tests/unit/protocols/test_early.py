"""Banners and subscriptions near the start of a stream."""

import pytest

from firewall.protocols import Watch
from firewall.protocols.early import Early

# xmrig DaemonClient.cpp: greeting, READY, subscription.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\0NULL" + bytes(48)
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"


@pytest.mark.parametrize("size", [1, 5, 999])
def test_a_subscription_to_a_monero_node(size: int) -> None:
    data = GREETING + READY + b"\0\x18\1json-minimal-chain_main"
    watch = Watch("tcp stream", "sent")
    found = [each for at in range(0, len(data), size) for each in watch.feed(data[at : at + size])]
    assert [(each.kind, each.name) for each in found] == [("mining", "monero-daemon")]
    assert found[0].evidence == "subscription to json-minimal-chain_main"


@pytest.mark.parametrize("topic", [b"\1kernel.status", b"\1json", b"\1"])
def test_other_subscriptions(topic: bytes) -> None:
    data = GREETING + READY + b"\0" + bytes([len(topic)]) + topic
    assert Watch("tcp stream", "sent").feed(data) == ()


def test_a_message_is_settled_by_its_start() -> None:
    early = Early(anywhere=False)
    early.feed(b"S" * 40)
    assert early.finished
    early.restart()
    assert not early.finished
    assert early.feed(b"SSH-2.0-x") is not None
