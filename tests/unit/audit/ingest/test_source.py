"""A log that arrives: written down as it was, and whatever does not fit is told and kept."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.audit import AuditLog, Key, keys, verify
from firewall.audit.archive import kept_from
from firewall.audit.cursor import Mark
from firewall.audit.ingest import Alarm, Source
from firewall.audit.segments import segments
from firewall.audit.ship import Item
from firewall.audit.ship.tail import Checkpoints, Records
from firewall.notes import SigningKey
from tests.unit.audit.ship.test_tail import all_of
from tests.unit.audit.signing import append, signed_log, signer


def items_of(root: Path) -> list[Item]:
    """What a shipper would send: all records, then all checkpoints."""
    audit = root / "audit"
    return [
        *all_of(Records(audit / "a")),
        *all_of(Records(audit / "b")),
        *all_of(Checkpoints(audit)),
    ]


class Central:
    """The receiving side, which can be started anew as after a crash."""

    def __init__(self, directory: Path, key: Key | None) -> None:
        self.directory, self.key = directory, key
        self.alarms: list[Alarm] = []
        self.source = self._open()

    def _open(self) -> Source[Item]:
        return Source(self.directory, self.key, self.alarms.append)

    def restart(self) -> None:
        self.source.close()
        self.source = self._open()

    def take(self, items: list[Item]) -> list[Item]:
        settled = [each for one in items for each in self.source.take(one.chain, one.line, one)]
        self.source.flush()
        return settled

    @property
    def kinds(self) -> list[str]:
        return [alarm.kind for alarm in self.alarms]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Item], Key]:
    root = tmp_path_factory.mktemp("host")
    key = signed_log(root, rounds=8)
    return items_of(root), key


@pytest.fixture
def central(tmp_path: Path, sent: tuple[list[Item], Key]) -> Iterator[Central]:
    central = Central(tmp_path / "host1", sent[1])
    yield central
    central.source.close()


def test_it_is_the_same_log(central: Central, sent: tuple[list[Item], Key]) -> None:
    items, key = sent
    assert central.take(items) == items
    report = verify(central.directory, key)
    assert report.status == "intact"
    assert {each.chain: each.records for each in report.chains} == {"a": 6, "b": 6}
    assert report.checkpoints.count == 9
    assert [*items_of_copy(central)] == [each.line for each in items]
    assert central.alarms == []
    assert central.source.verified == 9
    central.restart()
    assert central.source.verified == 9


def items_of_copy(central: Central) -> Iterator[bytes]:
    for name in ("a", "b"):
        yield from (each.line for each in all_of(Records(central.directory / name)))
    yield from (each.line for each in all_of(Checkpoints(central.directory)))


@pytest.mark.parametrize("seed", range(3))
def test_twice_out_of_order_and_after_crashes(
    central: Central, sent: tuple[list[Item], Key], seed: int
) -> None:
    """Lines come twice, neighbours change places, the receiver starts anew: the log is whole."""
    items, key = sent
    chance = random.Random(seed)
    come = [each for each in items for _ in range(chance.choice([1, 1, 2, 3]))]
    for place in range(0, len(come) - 4, 4):
        part = come[place : place + 4]
        chance.shuffle(part)
        come[place : place + 4] = part
    waiting = list(come)
    while waiting:
        batch, waiting = waiting[:7], waiting[7:]
        settled = central.take(batch)
        unsettled = [each for each in batch if each not in settled]
        if chance.random() < 0.3:
            central.restart()  # what was held is forgotten, so the server sends it again
            waiting = unsettled + waiting
    for _ in range(3):
        central.take([each for each in items if each not in central.take([each])])
    assert verify(central.directory, key).status == "intact"
    assert [*items_of_copy(central)] == [each.line for each in items]
    central.source.overdue(0.0)
    assert central.kinds == []


def test_a_torn_end_comes_again(central: Central, sent: tuple[list[Item], Key]) -> None:
    items, key = sent
    central.take(items)
    path = segments(central.directory / "a")[-1]
    path.write_bytes(path.read_bytes()[:-30])
    notes = max((central.directory / "checkpoints").glob("*.notes"))
    notes.write_bytes(notes.read_bytes()[:-30])
    central.restart()
    central.take(items)
    assert verify(central.directory, key).status == "intact"
    assert central.alarms == []


def test_a_gap(central: Central, sent: tuple[list[Item], Key]) -> None:
    items, _ = sent
    missing = [each for each in items if (each.chain, each.seq) not in {("a", 2), ("a", 3)}]
    settled = central.take(missing)
    assert central.source.held == 3
    assert central.source.overdue(60.0) == []
    settled += central.source.overdue(0.0)
    assert len(settled) == len(missing)
    (alarm,) = central.alarms
    assert (alarm.kind, alarm.chain, alarm.why) == ("gap", "a", "records 2 to 3 did not come")
    central.source.flush()
    assert verify(central.directory).status == "missing"
    central.take([each for each in items if (each.chain, each.seq) == ("a", 2)])
    assert central.alarms[-1].why.startswith("it came after its gap was given up; it is kept in")
    assert (central.directory / "refused/a.gap").exists()


def test_a_fork(
    central: Central, sent: tuple[list[Item], Key], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same chain goes on in two ways: the first that came stands, the other is evidence."""
    items, key = sent
    other_root = tmp_path_factory.mktemp("other")
    signed_log(other_root, rounds=12)
    other = items_of(other_root)
    central.take(items)
    settled = central.take(other)
    central.restart()
    settled += central.take([each for each in other if each not in settled])
    settled += central.source.overdue(0.0)
    assert set(settled) == set(other)
    kinds = {(alarm.kind, alarm.chain) for alarm in central.alarms}
    assert {("fork", "a"), ("fork", "b"), ("fork", "checkpoints")} <= kinds
    assert ("unsigned", "checkpoints") in kinds
    assert "gap" not in central.kinds
    central.source.flush()
    assert verify(central.directory, key).status == "intact"
    refused = (central.directory / "refused/a.fork").read_bytes()
    assert refused == b"".join(each.line for each in other if each.chain == "a")


def test_a_record_changed_after_it_was_signed(central: Central) -> None:
    """Rewritten with good hashes before it was shipped, it differs from what was signed."""
    root = central.directory.parent / "rewritten"
    signed_log(root, rounds=2)
    notes = all_of(Checkpoints(root / "audit"))
    again = central.directory.parent / "again"
    signed_log(again, rounds=2)
    central.key = keys.load(root / "authority").public
    central.restart()
    central.take([*all_of(Records(again / "audit/a")), *all_of(Records(again / "audit/b"))])
    central.take(notes)
    assert "fork" in central.kinds
    assert "signs another record" in central.alarms[0].why


def test_a_checkpoint_may_come_before_what_it_signs(
    central: Central, sent: tuple[list[Item], Key]
) -> None:
    items, _ = sent
    notes = [each for each in items if each.chain == "checkpoints"]
    central.take(notes)
    central.source.overdue(60.0)
    central.take([each for each in items if each not in notes])
    central.source.overdue(0.0)
    assert central.alarms == []


def test_what_was_signed_and_never_comes_is_a_gap(
    central: Central, sent: tuple[list[Item], Key]
) -> None:
    items, _ = sent
    central.take([each for each in items if each.chain != "a"])
    assert central.alarms == []
    central.source.overdue(0.0)
    (alarm,) = central.alarms
    assert (alarm.kind, alarm.chain) == ("gap", "a")
    assert "which did not come" in alarm.why


def test_what_comes_after_its_checkpoint_is_held_against_it(central: Central) -> None:
    root, again = (central.directory.parent / name for name in ("rewritten", "again"))
    for each in (root, again):
        signed_log(each, rounds=2)
    central.key = keys.load(root / "authority").public
    central.restart()
    central.take(all_of(Checkpoints(root / "audit")))
    central.take([*all_of(Records(again / "audit/a")), *all_of(Records(again / "audit/b"))])
    central.source.overdue(60.0)
    assert set(central.kinds) == {"fork"}
    assert "signs another record" in central.alarms[0].why


@pytest.mark.parametrize("line", [b"", b"\xff" * 99, b'{"statement":1}\n'])
@pytest.mark.parametrize("chain", ["a", "checkpoints", "../up"])
def test_garbage_is_kept_as_evidence(central: Central, chain: str, line: bytes) -> None:
    item = Item(chain, 1, "", line)
    assert central.take([item]) == [item]
    assert central.kinds == ["broken"]
    (kept,) = (central.directory / "refused").iterdir()
    assert kept.read_bytes().rstrip(b"\n") == line.rstrip(b"\n")


def test_a_record_of_another_chain(central: Central, sent: tuple[list[Item], Key]) -> None:
    first = sent[0][0]
    central.take([Item("b", 1, first.hash, first.line)])
    assert central.kinds == ["broken"]


def test_checkpoints_of_another_key(central: Central, sent: tuple[list[Item], Key]) -> None:
    central.key = SigningKey.generate("x/y").public
    central.restart()
    central.take(sent[0])
    assert central.kinds == ["unsigned"]
    assert central.source.verified == 0


def test_a_key_that_was_rotated(tmp_path: Path) -> None:
    root = tmp_path / "host"
    old = signed_log(root, rounds=2)
    keys.rotate(root / "authority")
    writer = signer(root)
    writer.sign()
    writer.close()
    keys.rotate(root / "authority")
    for _ in range(2):
        writer = signer(root)
        writer.sign()
        writer.close()
    central = Central(tmp_path / "host1", old)
    items = items_of(root)
    central.take(items[:-1])
    central.restart()
    central.take(items[-1:])
    assert central.alarms == []
    assert verify(central.directory, old).status == "intact"
    central.source.close()


def test_a_log_whose_beginning_was_given_up(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", "a", segment_limit=1)
    for number in range(6):
        append(log, number)
    log.close()
    first, second, *_ = segments(tmp_path / "audit/a")
    cut = kept_from([first, second])
    writer = signer(tmp_path)
    writer.sign()
    writer.sign({"a": cut})
    writer.close()
    key = keys.load(tmp_path / "authority").public
    first.unlink()
    second.unlink()
    central = Central(tmp_path / "host1", key)
    central.take(all_of(Records(tmp_path / "audit/a"), Mark()))
    central.source.overdue(0.0)
    central.take(all_of(Checkpoints(tmp_path / "audit")))
    assert central.kinds == ["gap"]
    assert verify(central.directory, key).status == "intact"
    central.restart()
    central.source.close()


def test_thousands_that_waited_for_the_first_are_taken_at_once(tmp_path: Path) -> None:
    """As after a receiver was killed: what it had not acknowledged comes last."""
    log = AuditLog(tmp_path / "host/audit", "a")
    for _ in range(3000):
        log.append({"kind": "n"})
    log.close()
    first, *rest = all_of(Records(tmp_path / "host/audit/a"))
    central = Central(tmp_path / "central", None)
    assert central.take(rest) == []
    assert central.take([first]) == [first, *rest]
    assert central.alarms == []
    central.source.close()
