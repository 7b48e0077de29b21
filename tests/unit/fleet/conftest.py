"""Bundles and keys of a small fleet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from firewall.notes import SigningKey
from firewall.policy import sources
from firewall.policy.bundle import Trust
from firewall.policy.bundling import bundle

KEY, OTHER = SigningKey.generate("policies"), SigningKey.generate("other")
TRUST = Trust((KEY.public,), group="training")
POLICY = "version: 1\nname: {name}\nextends: [base]\n"

type Bundled = Callable[..., bytes]


@pytest.fixture
def bundled(tmp_path: Path) -> Bundled:
    """A bundle's bytes; by default one for the group training."""

    def make(
        version: int = 7,
        *,
        name: str = "coding",
        audience: tuple[str, ...] = ("training",),
        key: SigningKey = KEY,
        expires: datetime | None = None,
        more: str = "",
    ) -> bytes:
        path = tmp_path / "source.yaml"
        path.write_text(POLICY.format(name=name) + more)
        return bundle(path, version, expires, [key], audience).encode()

    return make


@pytest.fixture(autouse=True)
def tools() -> Iterator[None]:
    """The commands tell the whole process to ask no tools."""
    yield
    sources.forget()
