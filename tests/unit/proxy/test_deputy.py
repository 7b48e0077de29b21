"""A deputy judges as the gate tells it to, and tells the gate what it must know."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.audit import AuditLog
from firewall.causes import SHUT, Cause
from firewall.policy import load_policy
from firewall.proxy.deputy import Deputy
from firewall.proxy.handover import Setup
from firewall.quota import Ledger
from firewall.sandbox import Authority
from firewall.vault import Vault
from tests.unit.proxy.stage import Memory


class Office:
    """A deputy with a real log, and what it has sent."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.setup = Setup(
            policy=load_policy("base").dump(),
            audit=str(folder / "audit"),
            chain="gate-0.1",
            authority=str(Authority.ensure(folder / "authority").directory),
            upstream_ca="",
            vault=Vault().dump(),
        )
        (folder / "audit").mkdir()
        memory = Memory()
        log = AuditLog(folder / "audit", self.setup.chain)
        self.deputy = Deputy(self.setup, log, memory, memory, Ledger(), self._send, _at_once)

    def _send(self, kind: str, body: dict[str, Any]) -> None:
        self.sent.append((kind, body))


def _at_once(work: Callable[[], None]) -> None:
    work()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.deputy.log.close()


def test_an_alarm_is_told_to_the_gate(office: Office) -> None:
    office.deputy.judge.quarantine(Cause("guards.mining", "stratum"))
    ((kind, body),) = office.sent
    assert (kind, body["rule"], body["reason"]) == ("quarantine", "guards.mining", "stratum")


def test_a_fault_in_the_alarm_still_reaches_the_gate(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(point: str) -> None:
        if point == "deputy.quarantine":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    office.deputy.alarmed(Cause("guards.mining", "stratum"))
    ((kind, body),) = office.sent
    assert (kind, body["rule"]) == ("quarantine", "fail-closed.deputy.quarantine")


def test_a_quarantine_that_began_here_outlasts_a_setup_from_before_it(office: Office) -> None:
    judge = office.deputy.judge
    judge.quarantine(Cause("guards.mining", "stratum"))
    office.deputy.renew(office.setup)
    assert judge.quarantined is not None, "the gate did not know of it when it sent that"
    office.deputy.impose(SHUT)
    office.deputy.renew(replace(office.setup, quarantined=SHUT))
    assert judge.quarantined == SHUT
    office.deputy.renew(office.setup)
    assert judge.quarantined is None
