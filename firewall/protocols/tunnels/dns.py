"""DNS questions whose names carry data: each by its shape, and many to one domain by their number.

A tunnel that sends little, slowly, in names like those of content networks cannot be told from one.
"""

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from math import log2

from firewall.domains import registrable
from firewall.requests import Confidence, Finding

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
_ENCODED = re.compile(r"[a-z0-9+/=_-]{12,63}")
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


WINDOW = 60.0
"""Seconds in which the questions to one domain are counted together."""

_DOMAINS_LIMIT = 256
_NAMES_LIMIT = 512
_MANY = 30
_MANY_CARRIED = 600
"""Different names below one domain in a window, and the encoded characters in them. Trackers and
content networks ask for a handful; block lists ask for addresses, which carry no text."""


@dataclass(slots=True)
class _Domain:
    """What was asked below one domain since `since`."""

    since: float
    names: set[int] = field(default_factory=set)
    carried: int = 0
    data_kinds: int = 0
    told: bool = False


class Questions:
    """Judges questions one by one and by how many go to one registrable domain.

    Bounded: of the domains asked most recently, the first names in each window.
    """

    def __init__(self) -> None:
        self._domains: OrderedDict[str, _Domain] = OrderedDict()

    def inspect(self, name: str, kind: str, now: float) -> tuple[Finding, ...]:
        """What this question gives away, by itself and after those before it; `now` in seconds."""
        return inspect_question(name, kind) + self._count(name.lower().rstrip("."), kind, now)

    def _count(self, name: str, kind: str, now: float) -> tuple[Finding, ...]:
        owner = registrable(name)
        if owner is None or owner == name:
            return ()
        domain = self._domain(owner, now)
        if len(domain.names) < _NAMES_LIMIT and hash(name) not in domain.names:
            carried = _carried(name.removesuffix(owner))
            if carried:
                domain.names.add(hash(name))
                domain.carried += carried
                domain.data_kinds += kind.upper() in _DATA_KINDS
        return self._judge(owner, domain)

    def _domain(self, owner: str, now: float) -> _Domain:
        known = self._domains.get(owner)
        if known is None or now - known.since >= WINDOW:
            known = self._domains[owner] = _Domain(now)
        self._domains.move_to_end(owner)
        if len(self._domains) > _DOMAINS_LIMIT:
            self._domains.popitem(last=False)
        return known

    def _judge(self, owner: str, domain: _Domain) -> tuple[Finding, ...]:
        count = len(domain.names)
        if domain.told or count < _MANY or domain.carried < _MANY_CARRIED:
            return ()
        domain.told = True
        confidence: Confidence = "likely" if 2 * domain.data_kinds >= count else "suspicious"
        evidence = f"{count} names below {owner} carry {domain.carried} encoded characters"
        where = f"DNS questions of {WINDOW:.0f} seconds"
        return (Finding("tunnel", "dns-tunnel", evidence, where, confidence),)


def _carried(prefix: str) -> int:
    """Encoded characters before a domain; addresses and words are none."""
    labels = prefix.strip(".").split(".")
    return sum(len(label) for label in labels if not label.isdigit() and _looks_encoded(label, 12))


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
    encoded = [label for label in labels[:-2] if len(label) >= 24 and _looks_encoded(label)]
    carried = sum(map(len, encoded))
    if carried < (_CARRIED_LIMIT_DATA if kind in _DATA_KINDS else _CARRIED_LIMIT):
        return None
    bits = _entropy("".join(encoded))
    evidence = f"{carried} encoded characters in {len(encoded)} labels, {bits:.1f} bits each"
    return _finding("dns-tunnel", evidence, kind)


def _looks_encoded(label: str, least: int = 20) -> bool:
    """Long, varied, and not words joined by hyphens or underscores: one of `least` characters."""
    if not _ENCODED.fullmatch(label):
        return False
    if _HEX.fullmatch(label):
        return True
    longest = max(map(len, re.split(r"[-_]", label)))
    digits = sum(character.isdigit() for character in label)
    return longest >= least and digits >= len(label) / 16 and _entropy(label) >= 3.3


def _entropy(text: str) -> float:
    """Bits per character (Shannon)."""
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)


def _finding(name: str, evidence: str, kind: str) -> Finding:
    return Finding("tunnel", name, evidence, f"DNS question of type {kind}")
