"""The reference in docs/ is what the schema says, and tells of every key."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app
from firewall.policy.document import PolicyDocument
from firewall.policy.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "policy-reference.md"
TABLES = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", reference(), re.MULTILINE | re.DOTALL)


def test_the_page_is_up_to_date() -> None:
    printed = CliRunner().invoke(app, ["policy", "schema", "--markdown"]).stdout
    assert PAGE.read_text() == printed


def test_every_mapping_of_the_schema_has_a_table() -> None:
    known = PolicyDocument.model_json_schema(by_alias=True)["$defs"].values()
    mappings = [each for each in known if "properties" in each]
    assert len(TABLES) == len(mappings) + 1
    written = {
        key for _, table in TABLES for key in re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    }
    assert {key for each in mappings for key in each["properties"]} <= written


@pytest.mark.parametrize(
    ("place", "row"),
    [
        ("the file", "| `version` | `1` | it must be | The version of this language. |"),
        ("`guards`", "| `tunnels` | `block`, `alert` |  |"),
        ("`network.rules[]`", "| `ports` | a list of: a number from 1 to 65535 |"),
        ("`network.rules[].requests[]`", "| `method` | text |"),
    ],
)
def test_a_row(place: str, row: str) -> None:
    (table,) = [table for name, table in TABLES if name == place]
    assert row in table
