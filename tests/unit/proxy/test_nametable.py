"""Names that several processes share: the right one or none, whenever it is looked for."""

import os
import threading

from hypothesis import given
from hypothesis import strategies as st

from firewall.proxy.names import NET4, NET6, Names, SharedNames
from firewall.proxy.nametable import LONGEST, SLOT, NameTable
from tests.waiting import eventually

LABELS = st.text(st.characters(codec="utf-8"), max_size=300)


def view(table: NameTable) -> NameTable:
    """Another process's view, through a descriptor of its own."""
    return NameTable.of(os.dup(table.descriptor))


@given(st.lists(st.tuples(st.integers(0, 3), LABELS), max_size=20))
def test_a_reader_sees_what_was_written_last(written: list[tuple[int, str]]) -> None:
    table = NameTable(4)
    reader = view(table)
    expected: dict[int, str | None] = {}
    for number, name in written:
        table.put(number, name)
        fits = 0 < len(name.encode()) <= LONGEST
        expected[number] = name if fits else None
    assert {number: reader.get(number) for number in range(4)} == dict.fromkeys(range(4)) | expected
    reader.close()
    table.close()


@given(st.binary(min_size=SLOT, max_size=SLOT), st.integers(0, 2**33))
def test_whatever_is_in_a_slot_is_no_name_by_chance(slot: bytes, number: int) -> None:
    table = NameTable(1)
    table._slots[:SLOT] = slot
    assert table.get(0) is None
    assert number < 1 or table.get(number) is None
    table.close()


def test_a_slot_that_is_rewritten_meanwhile_shows_one_of_its_names_or_none() -> None:
    table, names = NameTable(1), ("a" * 200 + ".test", "b.test")
    reader, over = view(table), threading.Event()

    def rewrite() -> None:
        while not over.is_set():
            for name in names:
                table.put(0, name)

    writer = threading.Thread(target=rewrite)
    writer.start()
    eventually(lambda: reader.get(0))
    seen = {reader.get(0) for _ in range(20_000)}
    over.set()
    writer.join()
    assert seen <= {*names, None}
    reader.close()
    table.close()


def test_a_worker_knows_each_name_that_has_an_address() -> None:
    table = NameTable(NET4.num_addresses)
    names, reader = Names(table=table), view(table)
    shared = SharedNames(reader)
    both = names.addresses("github.com")
    assert [shared.name(str(each)) for each in both] == ["github.com", "github.com"]
    assert [shared.name(str(each)) for each in (NET4[-1], NET6[-1], "1.1.1.1")] == [None] * 3
    reader.close()
    table.close()


def test_a_name_that_a_worker_has_used_is_not_the_first_to_go() -> None:
    table = NameTable(NET4.num_addresses)
    names, reader = Names(capacity=2, table=table), view(table)
    shared = SharedNames(reader)
    oldest, other = (names.addresses(each)[0] for each in ("a.test", "b.test"))
    assert shared.name(str(oldest)) == "a.test"
    assert names.addresses("c.test")[0] == other
    assert shared.name(str(other)) == "c.test"
    assert names.addresses("d.test")[0] == oldest, "it had its second chance"
    reader.close()
    table.close()
