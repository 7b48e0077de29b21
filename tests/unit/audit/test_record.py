"""One record is one line of strict JSON, and no byte of it can change unseen."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.audit.record import (
    GENESIS,
    RECORD_LIMIT,
    RESERVED,
    Seal,
    Stamp,
    check,
    encode_event,
    seal,
)

STAMP = Stamp(wall_ns=1_790_000_000_123_456_789, monotonic_ns=42)
ORIGIN = '"boot_id":"b","chain":"gate"'


def line(event: dict[str, Any], seq: int = 1, prev: str = GENESIS) -> bytes:
    return seal(seq, STAMP, ORIGIN, encode_event(event), prev)[0]


def strict(text: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text.decode("ascii"), parse_constant=refuse)


def test_the_members_and_their_order() -> None:
    record = strict(line({"kind": "verdict", "rule": "default"}))
    assert list(record) == [
        "seq", "time", "monotonic_ns", "boot_id", "chain", "kind", "rule", "prev", "hash",
    ]  # fmt: skip
    assert record["time"] == "2026-09-21T14:13:20.123456Z"


def test_the_hash_is_over_the_bytes_as_the_module_says() -> None:
    written = line({"kind": "verdict"})
    body = written[: written.index(b',"hash":')]
    assert strict(written)["hash"] == hashlib.sha256(b"\0" + body).hexdigest()


def test_a_line_checks_out_to_its_seal() -> None:
    written = line({"kind": "x"}, seq=17, prev="a" * 64)
    assert check(written) == Seal(17, "a" * 64, strict(written)["hash"])


@pytest.mark.parametrize(
    "broken",
    [b"", b"\n", b"{}\n", line({"kind": "x"})[:-1], line({"kind": "x"})[1:], b" " + line({"k": 1})],
)
def test_what_is_no_whole_line_does_not_check_out(broken: bytes) -> None:
    assert check(broken) is None


def test_every_changed_byte_is_seen() -> None:
    written = line({"kind": "verdict", "reason": "x"})
    for place in range(len(written)):
        for bit in range(8):
            changed = bytearray(written)
            changed[place] ^= 1 << bit
            assert check(bytes(changed)) is None, f"bit {bit} of byte {place}"


@pytest.mark.parametrize(
    "value",
    [
        "caf\udce9", "\ud800", "a\0b", '","hash":"', "\u2028\n\r\x1b[31m", float("nan"), b"\xff",
        10**5000, {1, 2}, object(), {"a\udcff": 1}, {(1, 2): 3},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_hostile_values_make_a_whole_record(value: Any) -> None:
    written = line({"kind": "verdict", "value": value})
    assert check(written) is not None
    assert written.count(b"\n") == 1
    assert strict(written)["kind"] == "verdict"


def test_undecodable_bytes_stand_in_backslash_form() -> None:
    assert strict(line({"kind": "x", "argv": ["caf\udce9"]}))["argv"] == [r"caf\xe9"]


def test_a_cycle_and_a_deep_value_make_a_record() -> None:
    cycle: dict[str, Any] = {"kind": "x"}
    cycle["self"] = cycle
    assert strict(line(cycle))["kind"] == "x"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert strict(line({"kind": "x", "deep": deep}))["kind"] == "x"


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_an_event_cannot_take_a_member_of_the_record(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        encode_event({"kind": "x", name: 1})


def test_an_empty_event_is_refused() -> None:
    with pytest.raises(ValueError, match="members of its own"):
        encode_event({})


class TestTooLarge:
    def test_only_the_long_field_is_cut_and_says_so(self) -> None:
        long = "x" * (3 * RECORD_LIMIT)
        record = strict(line({"kind": "verdict", "arguments": long, "rule": "default"}))
        digest = hashlib.sha256(long.encode()).hexdigest()
        assert record["rule"] == "default"
        assert record["truncated"] > len(long)
        assert record["arguments"].endswith(
            f"[cut: {len(long)} characters in all, SHA-256 {digest}]"
        )
        assert record["arguments"].startswith("x" * 60_000)

    @pytest.mark.parametrize(
        "value",
        [
            ["item"] * 1_000_000,
            {f"key{number}": "v" for number in range(200_000)},
            {"k" * 2_000_000: 1},
            [["y" * 5_000] * 500] * 20,
            "\udcff" * RECORD_LIMIT,
        ],
        ids=["list", "dictionary", "key", "nested", "escapes"],
    )
    def test_it_fits_and_keeps_its_kind(self, value: Any) -> None:
        encoded = encode_event({"kind": "verdict", "value": value})
        assert len(encoded) <= RECORD_LIMIT
        assert "[cut" in encoded
        assert strict(line({"kind": "verdict", "value": value}))["kind"] == "verdict"


@given(st.dictionaries(st.text().filter(lambda key: key not in RESERVED), st.text(), min_size=1))
def test_any_event_reads_back_as_it_was(event: dict[str, str]) -> None:
    record = strict(line(event))
    assert {name: record[name] for name in event} == event


@given(st.binary())
def test_no_bytes_confuse_the_check(data: bytes) -> None:
    assert check(data) is None
    assert check(data + line({"kind": "x"})) is None or data == b""


@pytest.mark.parametrize("text", ["plain", "café", 'quo"ted\\', "a\u2028b", "😀"])
def test_a_text_is_written_as_the_json_module_would(text: str) -> None:
    event = {"kind": "x", "n": [1, -2, True, None], text: text}
    assert encode_event(event) == json.dumps(event, separators=(",", ":"))[1:-1]


def test_a_number_that_is_none_reads_as_unknown() -> None:
    assert strict(line({"kind": "x", "watts": float("inf")}))["watts"] is None
