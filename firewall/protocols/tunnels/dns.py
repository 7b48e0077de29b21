"""DNS questions whose names carry data.

One question is judged alone, by its shape. Rates are another matter, and so are names that carry
little: they cannot be told from those of content networks.
"""

import re
from collections import Counter
from math import log2

from firewall.requests import Finding

_PRIVATE_KINDS = {"NULL", "PRIVATE", "TYPE10", "TYPE65399"}
"""Types that iodine tries first and that nobody else asks for (iodine src/client.c)."""

_DATA_KINDS = {"TXT", "CNAME", "MX", "SRV", *_PRIVATE_KINDS}
"""Types whose answers have room for data: tunnels prefer them, so less is needed to tell."""

_IODINE_VERSION = re.compile(r"vaaaaka[q-x][a-z0-5]{3}")
"""'v', then base32 of the protocol version 0x00000502 and a seed (doc/proto_00000502.txt)."""

_DNSCAT_PACKET = re.compile(r"[0-9a-f]{4}(?:0[0-3]|ff)(?:[0-9a-f]{2}){6,}")
"""A packet id, a type, a session and more, in hex (dnscat2 doc/protocol.md)."""

_DIGEST_LENGTHS = {32, 40, 56, 64, 96, 128}
_HEX = re.compile(r"[0-9a-f]+")
_ENCODED = re.compile(r"[a-z0-9+/=_-]{24,63}")
_RAW_BYTE = re.compile(r"\\[0-9]{3}|[^\x00-\x7f]")

_CARRIED_LIMIT = 100
"""Characters of encoded text in a name. The longest honest ones found are IPFS's CIDs (59)."""

_CARRIED_LIMIT_DATA = 60
_RAW_BYTES_LIMIT = 4


def inspect_question(name: str, kind: str) -> tuple[Finding, ...]:
    """What a question gives away. `name` is in presentation form, `kind` the type's name."""
    labels = name.lower().rstrip(".").split(".")
    kind = kind.upper()
    finding = (
        _inspect_iodine(labels, kind)
        or _inspect_dnscat(labels, kind)
        or _inspect_shape(labels, kind)
    )
    return (finding,) if finding else ()


def _inspect_iodine(labels: list[str], kind: str) -> Finding | None:
    if kind in _PRIVATE_KINDS:
        return _finding("iodine", f"question of type {kind}", kind)
    if len(labels) > 2 and _IODINE_VERSION.fullmatch(labels[0]):
        return _finding("iodine", f"version handshake in label {labels[0]}", kind)
    return None


def _inspect_dnscat(labels: list[str], kind: str) -> Finding | None:
    if labels[0] == "dnscat" and len(labels) > 1 and _HEX.fullmatch(labels[1]):
        return _finding("dnscat2", "labels dnscat and hex", kind)
    packet = "".join(_hex_labels(labels))
    if kind not in _DATA_KINDS or len(packet) in _DIGEST_LENGTHS:
        return None
    if _DNSCAT_PACKET.fullmatch(packet):
        return _finding("dnscat2", f"packet of {len(packet) // 2} bytes in hex labels", kind)
    return None


def _hex_labels(labels: list[str]) -> list[str]:
    """The labels before the first that is not hex: where dnscat2 puts its packet."""
    leading = []
    for label in labels[:-2]:
        if not _HEX.fullmatch(label):
            break
        leading.append(label)
    return leading


def _inspect_shape(labels: list[str], kind: str) -> Finding | None:
    raw = sum(len(_RAW_BYTE.findall(label)) for label in labels)
    if raw >= _RAW_BYTES_LIMIT:
        return _finding("dns-tunnel", f"{raw} raw bytes in its labels", kind)
    encoded = [label for label in labels[:-2] if _looks_encoded(label)]
    carried = sum(map(len, encoded))
    if carried < (_CARRIED_LIMIT_DATA if kind in _DATA_KINDS else _CARRIED_LIMIT):
        return None
    bits = _entropy("".join(encoded))
    evidence = f"{carried} encoded characters in {len(encoded)} labels, {bits:.1f} bits each"
    return _finding("dns-tunnel", evidence, kind)


def _looks_encoded(label: str) -> bool:
    """Long, varied, and not words joined by hyphens or underscores."""
    if not _ENCODED.fullmatch(label):
        return False
    if _HEX.fullmatch(label):
        return True
    longest = max(map(len, re.split(r"[-_]", label)))
    digits = sum(character.isdigit() for character in label)
    return longest >= 20 and digits >= len(label) / 16 and _entropy(label) >= 3.3


def _entropy(text: str) -> float:
    """Bits per character (Shannon)."""
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)


def _finding(name: str, evidence: str, kind: str) -> Finding:
    return Finding("tunnel", name, evidence, f"DNS question of type {kind}")
