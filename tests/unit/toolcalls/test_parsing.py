"""JSON with one meaning, or none."""

import pytest

from firewall.toolcalls.parsing import parse


def test_it_is_read_from_text_and_bytes() -> None:
    assert parse('{"a": [1]}') == parse(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": {"b": 1, "b": 2}}', "stands twice"),
        ("[" * 100_000, "nested too deep"),
        ("{", "Expecting property name"),
        (b"\xff{}", "decode"),
        ("1" * 5000, "digits"),
    ],
)
def test_what_has_no_single_meaning_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)
