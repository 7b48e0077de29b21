"""What a process on a GPU has to do with who asked."""

from dataclasses import replace

import pytest

from firewall.actor import Actor, Process
from firewall.gpu import relation as module
from firewall.gpu.cgroup import Place
from firewall.gpu.relation import relation
from firewall.gpu.view import ProcessView

FOUND = ProcessView(4711, started=100.0, namespace=77, container="", ancestors=(50, 40, 1))
IN_DOCKER = replace(FOUND, namespace=78, container="c0ffee")


def process(pid: int, started: float = 100.0) -> Process:
    return Process(pid, started, "/usr/bin/python3", (), 0)


@pytest.mark.parametrize(
    ("actor", "found", "expected"),
    [
        (Actor("s", process(4711, 100.9)), FOUND, "same process"),
        (Actor("s", process(4711, 500.0)), FOUND, "unknown"),
        (Actor("s", process(4711, 500.0), namespace=78), FOUND, "none"),
        (Actor("s", process(60), (process(4711),), namespace=77), FOUND, "ancestor"),
        (Actor("s", process(60), (process(4711, 9.0),), namespace=77), FOUND, "same sandbox"),
        (Actor("s", process(40), namespace=77), FOUND, "descendant"),
        (Actor("s", process(60), namespace=77), FOUND, "same sandbox"),
        (Actor("s", namespace=77), FOUND, "same sandbox"),
        (Actor("s", namespace=78), FOUND, "none"),
        (Actor("s"), FOUND, "unknown"),
        (Actor("s", namespace=78), ProcessView(4711), "unknown"),
        (Actor("s", namespace=5, container="c0ffee"), IN_DOCKER, "same container"),
        (Actor("s", namespace=5, container="bad"), IN_DOCKER, "none"),
        (Actor("s", namespace=5, container=""), FOUND, "none"),
    ],
)
def test_the_nearest_relation(actor: Actor, found: ProcessView, expected: str) -> None:
    assert relation(found, actor) == expected


def test_the_container_is_looked_up_where_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "container", lambda pid: Place({60: "c0ffee"}[pid], "docker"))
    assert relation(IN_DOCKER, Actor("s", process(60), namespace=5)) == "same container"


def test_whoever_is_served_outside_of_a_sandbox_shares_none_with_the_machine() -> None:
    here = module.NAMESPACE.stat().st_ino
    assert relation(replace(FOUND, namespace=here), Actor("serve", namespace=here)) == "none"
