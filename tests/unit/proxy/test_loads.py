"""Loads: who has more flows than another worker that runs."""

import os

from firewall.proxy.loads import Loads


def test_only_who_has_clearly_more_than_another_leads() -> None:
    gate = Loads(3)
    workers = [Loads.of(os.dup(gate.descriptor)) for _ in range(3)]
    for number, flows in enumerate((5, 4, 3)):
        workers[number].set(number, flows)
    assert [workers[each].leads(each) for each in range(3)] == [True, False, False]
    assert [workers[each].leads(each, 1) for each in range(3)] == [True, True, False]
    assert gate.flows(0) == 5
    for each in (*workers, gate):
        each.close()


def test_where_there_are_many_a_quarter_more_is_not_clearly_more() -> None:
    loads = Loads(2)
    loads.set(0, 125)
    loads.set(1, 100)
    assert not loads.leads(0)
    assert loads.leads(0, 1)
    loads.close()


def test_nothing_is_left_to_a_worker_that_does_not_run() -> None:
    loads = Loads(2)
    loads.set(0, 5)
    assert not loads.leads(0)
    loads.set(1, 0)
    assert loads.leads(0)
    loads.gone(1)
    assert not loads.leads(0)
    assert loads.flows(1) == 0
    loads.close()
