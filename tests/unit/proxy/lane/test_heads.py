"""A head that is the same to the byte is read once; what differs at all is read anew."""

import pytest

from firewall.credentials import Secret
from firewall.held import Held
from firewall.protocols import ProtocolError
from firewall.proxy.lane.heads import Heads
from firewall.vault import Vault
from tests.unit.proxy.test_handover import HANDOVER

VALUE = "sk-0123456789abcdefghij"
HOLDING = Vault([Held(Secret("env:KEY"), "sk-placeholder00112233", VALUE)])


def head(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a.test", *fields, "", ""]).encode()


def test_the_same_head_is_read_and_described_once() -> None:
    heads = Heads(HANDOVER)
    first = heads.read(head("/a") + b"what follows")
    asked, onward = heads.describe(HOLDING), heads.onward
    assert heads.read(head("/a") + b"something else") is first
    assert heads.describe(HOLDING) is asked
    assert heads.onward is onward


@pytest.mark.parametrize("other", [head("/b"), head("/a", "X: y"), b"\r\n" + head("/a")])
def test_another_head_is_read_anew(other: bytes) -> None:
    heads = Heads(HANDOVER)
    first = heads.read(head("/a"))
    asked, onward = heads.describe(HOLDING), heads.onward
    second = heads.read(other)
    assert second is not None
    assert second is not first
    assert second.length == len(other)
    assert heads.describe(HOLDING) is not asked
    assert heads.onward is not onward


def test_what_has_not_come_yet_is_waited_for() -> None:
    heads = Heads(HANDOVER)
    assert heads.read(head("/a")) is not None
    assert heads.read(head("/a")[:-1]) is None


def test_a_malformed_head_is_none() -> None:
    heads = Heads(HANDOVER)
    heads.read(head("/a"))
    with pytest.raises(ProtocolError, match="header line 2"):
        heads.read(head("/a", " folded"))


def test_secrets_that_are_new_are_looked_for_in_the_same_head() -> None:
    heads = Heads(HANDOVER)
    heads.read(head("/a", f"X: {VALUE}"))
    assert heads.describe(Vault()).findings == ()
    assert [each.name for each in heads.describe(HOLDING).findings] == ["value"]
