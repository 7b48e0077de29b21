"""What the gate passes between its own judge and the depth process's."""

from pathlib import Path

from firewall.actor import Actor
from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.requests import Execute
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
        assert here.gate._setup().deeds == (ours,), "the next process learns of it at its start"
        theirs = Deed("run", "/src/y", 7.0)
        here.gate._reported("deeds", handover.encode_deeds([theirs]))
        assert judge.done() == (ours, theirs)
        assert len(here.depth.told) == 1
