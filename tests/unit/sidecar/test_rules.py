"""What the rules say, in the order that the kernel reads them; tests/e2e tries them on it."""

import pytest

from firewall.sandbox import nftables
from firewall.sandbox.netlink import Message
from firewall.sidecar import rules
from firewall.sidecar.rules import Settings

SETTINGS = Settings(uid=64100, inbound=(9464,), loopback=1)


def of_chain(chain: str, settings: Settings = SETTINGS) -> list[bytes]:
    """The bodies of a chain's messages, the chain itself first."""
    named = f"{chain}\0".encode()
    return [each.body for each in rules.rules(settings) if named in each.body]


def position(bodies: list[bytes], match: bytes) -> int:
    return next(number for number, each in enumerate(bodies) if match in each)


def test_what_no_rule_lets_through_is_dropped_on_every_way() -> None:
    for chain, hook in (
        ("leaving", nftables.POSTROUTING),
        ("arriving", nftables.INPUT),
        ("through", nftables.FORWARD),
    ):
        made = nftables.new_base_chain(rules.TABLE, chain, hook, nftables.DROP)
        assert of_chain(chain)[0] == made.body


def test_others_are_refused_before_what_nobody_holds_is_looked_at() -> None:
    wall = of_chain("leaving")
    assert position(wall, nftables.mark(0x46570001)) < position(wall, nftables.owned())
    assert position(wall, nftables.owned()) < position(wall, nftables.not_opening())
    assert nftables.owner(64100) in wall[position(wall, nftables.mark(0x46570001))]
    assert nftables.marked(0x46570001) in wall[position(wall, nftables.not_opening())]


def test_what_came_by_loopback_goes_back_there_also_if_it_is_the_gates() -> None:
    wall, near = of_chain("leaving"), nftables.marked(0x46570002)
    assert position(wall, near) < position(wall, nftables.mark(0x46570001))
    door = of_chain("arriving")
    assert nftables.came_by(1) in door[position(door, nftables.mark(0x46570002))]


def test_who_claims_another_address_is_not_heard() -> None:
    refused = of_chain("refused")
    claims = position(refused, nftables.foreign_source())
    assert nftables.owned() in refused[claims]
    assert position(refused, nftables.owner(64100)) < claims
    assert claims < refused.index(rules._accept("refused", nftables.leaves_by(1)).body)


def test_an_engines_resolver_is_no_loopback() -> None:
    resolver = nftables.destination(2, bytes((127, 0, 0, 11)))
    for chain in ("leaving", "refused", "redirected"):
        bodies = of_chain(chain)
        near = rules._accept(chain, nftables.leaves_by(1)).body
        assert position(bodies, resolver) < position(bodies, near)


def test_the_outside_reaches_only_the_ports_that_are_named() -> None:
    port = nftables.destination_port(6, 9464)
    assert [port in each for each in of_chain("arriving")].count(True) == 1
    closed = of_chain("arriving", Settings(uid=64100, loopback=1))
    assert not any(port in each for each in closed)


def test_without_redirection_there_is_the_wall_alone() -> None:
    explicit = Settings(uid=64100, loopback=1, transparent=False)
    assert of_chain("redirected", explicit) == of_chain("caught", explicit) == []
    assert of_chain("leaving", explicit) == of_chain("leaving")


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> list[list[Message]]:
    """What would go to the kernel of a shared network."""
    done: list[list[Message]] = []
    monkeypatch.setattr(nftables, "commit", done.append)
    monkeypatch.setattr(rules, "_ONLY_OF_THE_MACHINE", "/nonexistent")
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "net1")])
    return done


def test_each_interface_but_loopback_holds_frames_back(committed: list[list[Message]]) -> None:
    assert rules.install(SETTINGS)
    table, frames = committed
    assert table[:2] == nftables.without_table(rules.TABLE)
    assert table[2:] == rules.rules(SETTINGS)
    assert frames[:2] == nftables.without_table(rules.TABLE, nftables.NETDEV)
    assert [name in b"".join(each.body for each in frames) for name in (b"eth0", b"net1")] == [
        True, True,
    ]  # fmt: skip
    assert not any(b"lo\0" in each.body for each in frames)


@pytest.mark.parametrize(("code", "raised"), [(95, False), (1, True)])
def test_a_kernel_without_the_hook_says_so_and_any_refusal_is_an_error(
    code: int, raised: bool, committed: list[list[Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(messages: list[Message]) -> None:
        committed.append(messages)
        if len(committed) == 2:
            raise OSError(code, "no")

    monkeypatch.setattr(nftables, "commit", commit)
    if raised:
        with pytest.raises(OSError, match="no"):
            rules.install(SETTINGS)
    else:
        assert not rules.install(SETTINGS)


@pytest.mark.parametrize(
    ("code", "said"), [(1, "run this as root with CAP_NET_ADMIN"), (2, "the kernel needs nftables")]
)
@pytest.mark.usefixtures("committed")
def test_rules_that_cannot_be_made_say_what_is_needed(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(_: list[Message]) -> None:
        raise OSError(code, "netlink message 0: no")

    monkeypatch.setattr(nftables, "commit", commit)
    with pytest.raises(OSError, match=said):
        rules.install(SETTINGS)


def test_a_gate_that_is_root_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be root"):
        rules.install(Settings(uid=0, loopback=1))
