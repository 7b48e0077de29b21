"""The labelled first payloads: each by the dialect that it is, and no look-alike."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from firewall.protocols.captures import report_stream

VECTORS = [
    json.loads(line)
    for line in Path(__file__).with_name("wire_vectors.jsonl").read_text().splitlines()
]

NAMES = {
    "stratum-v1": "stratum",
    "zcash": "stratum",
    "kaspa": "stratum",
    "ws-stratum": "eth-getwork",  # a subscription to new work
    "connect+stratum": "stratum",
    "ironfish": "ironfish-stratum",
    "eth-stratum2": "ethereum-stratum",
    "eth-proxy": "eth-proxy",
    "http-eth_getWork": "eth-getwork",
    "http-getwork": "getwork",
    "beam": "beam",
    "monero-login": "monero-stratum",
    "monero-submit": "monero-stratum",
    "monero-daemon": "getblocktemplate",
    "ws-coinhive": "coinhive",
    "p2p-bitcoin": "bitcoin-p2p",
    "ssh": "ssh",
    "ws+ssh": "ssh",
    "frp-v1": "frp",
    "frp-yamux": "yamux",
    "bore": "bore",
    "derp": "derp",
    "socks5": "socks",
    "localtunnel": "localtunnel",
    "ton": None,  # an ordinary request: only its host tells, which is on a list
    "p2p-bitcoin-v2": None,  # random by design: suspicious
}
"""What each dialect of the vectors is called here."""

KINDS = {"M": "mining", "T": "tunnel"}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    sides = (base64.b64decode(vector[key]) for key in ("client_b64", "server_b64"))
    findings = report_stream(*sides).findings
    proven = {(each.kind, each.name) for each in findings if each.confidence != "suspicious"}
    if vector["label"] == "B" or NAMES[vector["dialect"]] is None:
        assert proven == set()
    else:
        assert (KINDS[vector["label"]], NAMES[vector["dialect"]]) in proven
    assert vector["label"] != "B" or not findings


def test_all_labels_are_there() -> None:
    assert {vector["label"] for vector in VECTORS} == {"M", "T", "B"}
