"""An exporter's cursor: durable, whole, one process at a time."""

from pathlib import Path

import pytest

from firewall.audit import AuditBusy, AuditError
from firewall.audit.cursor import Cursor, Mark, shipped


def test_it_stands_where_it_was_left(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path, "siem")
    assert cursor.mark("a") == Mark(0, "")
    cursor.advance("a", Mark(7, "h"))
    cursor.close()
    again = Cursor(tmp_path, "siem")
    assert again.mark("a") == Mark(7, "h")
    again.close()
    assert shipped(tmp_path) == {"siem": {"a": Mark(7, "h")}}
    assert (tmp_path / "ship/siem.json").stat().st_mode & 0o777 == 0o600


def test_it_is_registered_before_anything_is_shipped(tmp_path: Path) -> None:
    assert shipped(tmp_path) == {}
    Cursor(tmp_path, "siem").close()
    assert shipped(tmp_path) == {"siem": {}}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = Cursor(tmp_path, "siem")
    with pytest.raises(AuditBusy, match="another process ships"):
        Cursor(tmp_path, "siem")
    first.close()
    Cursor(tmp_path, "siem").close()


@pytest.mark.parametrize("damage", ["", "[]", '{"a":1}', '{"a":{"seq":"x","hash":""}}', "\xff"])
def test_a_damaged_one_says_so_and_holds_all_records(tmp_path: Path, damage: str) -> None:
    Cursor(tmp_path, "siem").close()
    (tmp_path / "ship/siem.json").write_text(damage, "latin-1")
    with pytest.raises(AuditError, match="remove it to ship the log anew"):
        Cursor(tmp_path, "siem")
    assert shipped(tmp_path) == {"siem": {}}


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_its_name_is_a_plain_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="write letters"):
        Cursor(tmp_path, name)
