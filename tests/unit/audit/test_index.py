"""The index finds what reading everything finds, and can be thrown away."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from firewall.actor import Actor, Process
from firewall.audit import AuditLog, describe, read
from firewall.audit.archive import compress
from firewall.audit.filter import parse
from firewall.audit.index import FILE, Index
from firewall.audit.segments import segments
from firewall.requests import Connect, Resolve
from firewall.verdict import Action, Severity, Verdict
from tests.waiting import PATIENCE


def write(directory: Path, name: str, count: int) -> None:
    log = AuditLog(directory, name, segment_limit=4000)
    for number in range(count):
        written = threading.Event()
        asked = Resolve(f"h{number}.test", "A") if number % 3 else Connect("c.test", number)
        action = Action.DENY if number % 4 == 0 else Action.ALLOW
        severity = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)[number % 3]
        process = Process(number, 1.0, f"/usr/bin/{name}", ("a", "b"), 1000)
        event = {
            "kind": "verdict",
            "request": {"type": type(asked).__name__, **describe(asked)},
            "verdict": describe(Verdict(action, f"rule-{number % 5}", "why", severity)),
            "actor": describe(Actor("s", process)),
            "flow": {"bytes": number * 1000},
        }
        log.append(event, lambda error, written=written: written.set())  # type: ignore[misc]
        assert written.wait(PATIENCE)
    log.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write(tmp_path, "one", 20)
    write(tmp_path, "two", 20)
    return tmp_path


@contextmanager
def indexed(directory: Path) -> Iterator[Index]:
    with closing(Index(directory)) as index:
        index.update()
        yield index


def found(directory: Path, *terms: str) -> list[tuple[str, int]]:
    with indexed(directory) as index:
        return sorted((each["chain"], each["seq"]) for each in index.search(parse([*terms])))


def expected(directory: Path, *terms: str) -> list[tuple[str, int]]:
    conditions = parse([*terms])
    matching = (each for each in read(directory) if all(one.holds(each) for one in conditions))
    return sorted((each["chain"], each["seq"]) for each in matching)


@pytest.mark.parametrize(
    "terms",
    [
        (),
        ("verdict=deny",),
        ("verdict!=deny",),
        ("kind=log.*",),
        ("rule=rule-[1]",),
        ("rule=rule-?", "program=*one"),
        ("rule!=rule-*",),
        ("severity>=warning", "port>3"),
        ("host=h*.test", "flow.bytes<=7kB"),
        ("chain=two", "seq>5", "seq<=9"),
        ("actor.process.argv=b", "pid<4"),
        ("since=1h",),
        ("until=1h",),
    ],
)
def test_it_finds_what_reading_everything_finds(log: Path, terms: tuple[str, ...]) -> None:
    assert found(log, *terms) == expected(log, *terms)


def test_the_newest_first_up_to_a_limit(log: Path) -> None:
    with indexed(log) as index:
        for terms in ([], ["flow.bytes>=0"]):
            times = [each["time"] for each in index.search(parse(terms), limit=5)]
            assert len(times) == 5
            assert times == sorted(times, reverse=True)


def test_it_follows_the_log(log: Path) -> None:
    with closing(Index(log)) as index:
        assert index.update() == 44
        assert index.update() == 0
        write(log, "one", 3)
        write(log, "three", 1)
        assert index.update() == 8
    assert found(log) == expected(log)


def test_compressed_segments_are_found_too(log: Path) -> None:
    before = found(log, "flow.bytes>=0")
    for path in segments(log / "one")[:-2]:
        compress(path)
    assert found(log, "flow.bytes>=0") == before
    (log / FILE).unlink()
    assert found(log, "flow.bytes>=0") == before


def test_what_the_log_lost_the_index_loses(log: Path) -> None:
    found(log)
    for path in segments(log / "one")[:2]:
        path.unlink()
    for path in (log / "two").iterdir():
        path.unlink()
    (log / "two").rmdir()
    assert found(log) == expected(log)


def test_another_chain_of_the_same_name_is_read_anew(log: Path) -> None:
    found(log)
    for path in (log / "one").iterdir():
        path.unlink()
    write(log, "one", 25)
    assert found(log) == expected(log)


@pytest.mark.parametrize("junk", [b"", b"junk" * 1000])
def test_a_damaged_index_is_made_anew(log: Path, junk: bytes) -> None:
    (log / FILE).write_bytes(junk)
    assert found(log) == expected(log)


def test_it_is_private(log: Path) -> None:
    found(log)
    assert (log / FILE).stat().st_mode & 0o777 == 0o600


def test_sql_reads_and_changes_nothing(log: Path) -> None:
    with indexed(log) as index:
        columns, rows = index.sql("SELECT verdict, count(*) AS n FROM records GROUP BY verdict")
        assert columns == ["verdict", "n"]
        assert ("deny", 10) in rows
        for query in ("DELETE FROM records", "SELECT nothing FROM records", "no sql", ""):
            if query:
                with pytest.raises(ValueError, match="the table is records"):
                    index.sql(query)
        assert index.sql("SELECT count(*) FROM records")[1] == [(44,)]


def test_odd_values_are_held_as_text(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "a")
    log.append({"kind": 1 << 63, "request": {"host": ["x"], "port": 1 << 63}, "verdict": 7})
    log.append({"kind": True, "request": {"port": "https"}})
    log.close()
    with indexed(tmp_path) as index:
        rows = index.sql("SELECT kind, host, port FROM records ORDER BY seq")[1]
    assert rows[1:3] == [(str(1 << 63), "['x']", str(1 << 63)), ("True", None, "https")]


def test_counts(log: Path) -> None:
    with indexed(log) as index:
        assert index.count("verdict", parse(["kind=verdict"])) == [("allow", 30), ("deny", 10)]
        assert index.count("program", parse(["verdict=deny"]), limit=1) == [("/usr/bin/one", 5)]
        with pytest.raises(ValueError, match=r"flow\.bytes is not in the index"):
            index.count("rule", parse(["flow.bytes>1"]))
