"""Put a policy into one signed file (`bundle` says what is in it)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from firewall.notes import SigningKey, sign
from firewall.policy.bundle import ANYTHING, Contents
from firewall.policy.loading import family, find, list_files, load


def bundle(
    policy: Path | str,
    version: int,
    expires: datetime | None,
    keys: Sequence[SigningKey],
    audience: Sequence[str] = (),
) -> str:
    """The bundle of a policy that loads. Raises PolicyError with every problem found.

    `audience` are the groups of machines that it is for.
    """
    name = load(policy, trust=ANYTHING).name
    files = list(family(find(policy)))
    contents = Contents(
        name=name,
        version=version,
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
        files=[(file.path.name, file.path.read_text()) for file in files],
        lists=[
            (guard, path.name, path.read_text(encoding="utf-8-sig", errors="replace"))
            for guard, path in list_files(files)
        ],
        audience=list(audience),
    )
    return sign(contents.text(), *keys)
