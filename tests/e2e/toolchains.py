"""The table of clients: what each needs to know of the firewall, and what it tells when refused.

python -m tests.e2e.toolchains      writes it into the documents again
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("toolchains.yaml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "toolchains.md"

_ALONE = {True: "yes", False: "no", None: "as it was built"}
_TELLS = {"why": "the whole reason", "403": "403 Forbidden", "no": "nothing"}


@dataclass(frozen=True)
class Toolchain:
    """One line of the table; the file says what its columns mean."""

    client: str
    needs: list[str]
    knows: str
    script: str
    tells: str
    alone: bool | None = None
    prints: str = "welcome"
    files: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For files: the client's name without blanks and brackets."""
        return self.client.replace(" ", "-").replace("(", "").replace(")", "").replace(".", "")


def toolchains() -> list[Toolchain]:
    return [Toolchain(**each) for each in yaml.safe_load(TABLE.read_text())]


def as_markdown() -> str:
    """The table for people."""
    lines = [
        "| client | trusts the firewall by | also with no variable set | tells of a refusal |",
        "|---|---|---|---|",
    ]
    for each in toolchains():
        cells = (each.client, each.knows, _ALONE[each.alone], _TELLS[each.tells])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def document() -> str:
    """The document as it should be."""
    text = f"<!-- toolchains -->\n{as_markdown()}<!-- end -->"
    return re.sub(
        r"<!-- toolchains -->.*?<!-- end -->", text, DOCUMENT.read_text(), flags=re.DOTALL
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document())
