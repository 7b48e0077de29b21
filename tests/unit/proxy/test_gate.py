"""What the gate passes between its own judge and the depth process's."""

from pathlib import Path

from firewall.actor import Actor
from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.requests import Connect, Execute
from tests.unit.proxy.stage import stage
from tests.waiting import eventually

POLICY = """
version: 1
name: test
tools:
  rules:
    - {name: no-send, deny: [Send], after: {did: run}}
"""


def test_deeds_pass_both_ways_and_none_comes_back(tmp_path: Path) -> None:
    with stage(tmp_path, POLICY) as here:
        judge = here.gate.judge
        judge.decide(Execute("/src/x", ("x",), "/src"), Actor("test"), {}, lambda _: None)
        eventually(lambda: bool(here.depth.told))
        (ours,) = here.depth.told[0]
        assert (ours.what, ours.object) == ("run", "/src/x")
        assert here.gate.setup().deeds == (ours,), "the next process learns of it at its start"
        theirs = Deed("run", "/src/y", 7.0)
        here.gate._reported("deeds", handover.encode_deeds([theirs]))
        assert judge.done() == (ours, theirs)
        assert len(here.depth.told) == 1


def test_what_limits_leave_is_in_the_metrics_until_the_gate_stops(tmp_path: Path) -> None:
    policy = """
version: 1
name: test
network:
  rules:
    - {name: web, allow: https, hosts: [a.test], limits: {connections: 3/h}}
"""
    with stage(tmp_path, policy) as here:
        key = ("limits.web", "connections", "3600", "rule")
        asked, metrics = Connect("a.test", 443, protocol="tls", sni="a.test"), here.gate.metrics
        here.gate.judge.decide(asked, Actor("run"), {}, lambda _: None)
        assert metrics.snapshot().limits[key].left == 2
    assert metrics.snapshot().limits == {}
