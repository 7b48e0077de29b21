"""docs/recognition.md names every finding that the recognisers make, and no other."""

import re
from pathlib import Path

from firewall.protocols.mining import messages
from firewall.protocols.mining.openings import FROM_CLIENTS as MINERS
from firewall.protocols.tunnels.openings import FROM_CLIENTS as TUNNELS
from firewall.protocols.tunnels.openings import FROM_SERVERS
from tests.unit.protocols.test_dialects import ALL
from tests.unit.protocols.test_vectors import NAMES

ROOT = Path(__file__).parents[3]
TABLES = (ROOT / "docs/recognition.md").read_text().partition("## Mining\n")[2]
SOURCES = "".join(path.read_text() for path in (ROOT / "firewall/protocols").rglob("*.py"))
SPELLED = re.compile(r'(?:Sign|Finding|_finding)\(\s*"(?:mining|tunnel)", "([a-z0-9-]+)"')
MADE_UP = re.compile(r"-in-\*")
"""Names that are put together, whose parts are the protocols and carriers."""


def documented() -> set[str]:
    rows = re.findall(r"(?m)^\| ([a-z0-9*, -]+) \| ", TABLES)
    return {name for row in rows for name in row.split(", ")} - {"name"}


def spelled() -> set[str]:
    """The names that stand in the code as such."""
    tables = {each.name for each in (*MINERS, *TUNNELS, *FROM_SERVERS)}
    return {
        *SPELLED.findall(SOURCES),
        *tables,
        *messages._METHODS.values(),
        *messages._RAW_METHODS.values(),
        *(name for name, _, _ in ALL.values()),
        *(name for name in NAMES.values() if name),
    }


def test_what_can_be_found_is_documented() -> None:
    assert spelled() - documented() == set()


def test_what_is_documented_can_be_found() -> None:
    plain = {name for name in documented() if not MADE_UP.search(name)}
    assert {name for name in plain if f'"{name}"' not in SOURCES} == set()
