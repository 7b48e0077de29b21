"""The bench reads captures and vectors by their labels, and bounds rates as statistics do."""

import json
from pathlib import Path

import pytest

from tests.bench.recognition import bound, read_folder, read_vectors
from tests.unit.protocols.captures.wire import conversation, pcap, pcapng
from tests.unit.protocols.samples import SUBSCRIBE

HTTP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(0, 9587, 3 / 9587), (0, 0, 1.0), (0, 1, 1.0), (5, 100, 0.1118), (10, 10, 1.0)],
)
def test_bounds(count: int, total: int, expected: float) -> None:
    assert bound(count, total) == pytest.approx(expected, abs=1e-4)


def test_a_folder(tmp_path: Path) -> None:
    both = [
        *conversation([("sent", SUBSCRIBE)]),
        *conversation([("sent", HTTP)], server=("192.0.2.1", 80)),
    ]
    (tmp_path / "both.pcap").write_bytes(pcap(both))
    (tmp_path / "pool.pcapng").write_bytes(pcapng(both))
    (tmp_path / "other.pcap").write_bytes(pcap(conversation([("sent", HTTP)])))
    labels = {"both.pcap": {"3333": "mining/stratum-v1"}, "pool.pcapng": "mining"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    cases = list(read_folder(tmp_path))
    assert [(each.kind, each.dialect, set(each.proven)) for each in cases] == [
        ("mining", "stratum-v1", {"mining"}),
        ("benign", "benign", set()),
        ("benign", "benign", set()),
        ("mining", "mining", {"mining"}),
    ]


def test_vectors() -> None:
    path = Path(__file__).parents[1] / "unit/protocols/wire_vectors.jsonl"
    cases = list(read_vectors(path))
    found = {each.dialect for each in cases if each.kind in each.proven}
    assert {"ton", "zcash", "bore"} <= found
    assert not any(each.proven for each in cases if each.kind == "benign")
