"""The labelled first payloads: every one but those that cannot be told yet, and no look-alike."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from firewall.protocols import Watch, identify
from firewall.requests import Finding

VECTORS = [
    json.loads(line)
    for line in Path(__file__).with_name("wire_vectors.jsonl").read_text().splitlines()
]

UNDECIDABLE = {
    27: "TON's job poll is an ordinary GET; only its host tells",
    53: "BIP 324 is random bytes by design",
}

KINDS = {"M": {"mining"}, "T": {"tunnel"}, "B": set[str]()}


def inspect(vector: dict[str, Any]) -> tuple[Finding, ...]:
    """All findings of both directions of a bare stream, and of its first bytes."""
    client, server = (base64.b64decode(vector[key]) for key in ("client_b64", "server_b64"))
    identity = identify(client, final=True)
    assert identity is not None
    return (
        *identity.findings,
        *Watch("tcp stream", "sent").feed(client),
        *Watch("tcp stream", "received").feed(server),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    kinds = {finding.kind for finding in inspect(vector)}
    if vector["id"] in UNDECIDABLE:
        assert not kinds
    else:
        assert KINDS[vector["label"]] <= kinds
        assert kinds or vector["label"] == "B"
        assert vector["label"] != "B" or not kinds


def test_all_labels_are_there() -> None:
    assert {vector["label"] for vector in VECTORS} == set(KINDS)
