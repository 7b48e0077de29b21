"""Secrets that leave: how many spellings in how many places are found, how often honest requests
are taken for one, and what looking costs.

    python -m tests.bench.leaks [--requests N] [--files FOLDER]
"""

import argparse
import base64
import gzip
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import process_time
from urllib.parse import quote

from firewall.credentials import KEYS_ALONE
from firewall.keyformats import FORMATS
from firewall.marked import Marked
from firewall.requests import Finding, Resolve, SshChannel
from firewall.vault import Vault
from tests.bench.benign import Asked, files, requests
from tests.unit.leaky import KEYS

MARKED = "mArk3d-Value-77120"
VAULT = Vault(watched=KEYS_ALONE, marked=Marked({"/w/.env (line 1)": MARKED}, {}))
SECRETS = {**KEYS, "marked-file": MARKED}
PIECE = 16 << 10
"""Bytes of a body that are looked at together, as they come off a connection."""

type Spell = Callable[[bytes], bytes]
type Place = Callable[[bytes], Iterable[Finding]]

SPELLINGS: Mapping[str, Spell] = {
    "as it is": bytes,
    "JSON": lambda text: b'{"a": "see\\n' + text.replace(b"\n", b"\\n") + b'"}',
    "base64": lambda text: base64.b64encode(b"x=" + text),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"id:" + text),
    "hex": lambda text: text.hex().encode(),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent, all": lambda text: b"".join(b"%%%02X" % each for each in text),
    "gzip": lambda text: gzip.compress(b"see " + text),
    "base64 of base64": lambda text: base64.b64encode(base64.b64encode(text)),
}


def _streamed(carrier: str) -> Place:
    def place(text: bytes) -> Iterable[Finding]:
        watch = VAULT.stream(carrier, "sent")
        return [found for each in (text[:7], text[7:]) for found in watch.feed(each)]

    return place


def _name(text: bytes) -> Iterable[Finding]:
    plain = base64.b32encode(text).decode().rstrip("=").lower()
    labels = ".".join(plain[at : at + 60] for at in range(0, len(plain), 60))
    return VAULT.seen(Resolve(f"{labels[:240]}.a.test", "A")).findings


PLACES: Mapping[str, Place] = {
    "header": lambda text: VAULT.leaving("a.test", "/", [(b"x-note", text)]),
    "query": lambda text: VAULT.leaving("a.test", f"/?q={text.decode('latin-1')}", []),
    "path": lambda text: VAULT.leaving("a.test", f"/x/{text.decode('latin-1')}", []),
    "body": _streamed("http body"),
    "WebSocket": _streamed("websocket"),
    "TCP": _streamed("tcp stream"),
    "SSH exec": lambda text: (
        VAULT.seen(
            SshChannel("a.test", 22, "me", "exec", f"echo {text.decode('latin-1')}")
        ).findings
    ),
}


def recall(place: Place, spell: Spell) -> tuple[int, int]:
    """How many of all secrets are found, and of how many."""
    found = sum(
        any(each.name == name for each in place(spell(secret.encode())))
        for name, secret in SECRETS.items()
    )
    return found, len(SECRETS)


def alarms(asked: Asked) -> set[str]:
    """What an honest request is taken for: "block", "warning", or neither."""
    found = list(VAULT.leaving(asked.host, asked.path, asked.fields))
    watch = VAULT.stream("http body", "sent")
    for at in range(0, len(asked.body), PIECE):
        found += watch.feed(asked.body[at : at + PIECE])
    return {"warning" if each.confidence == "suspicious" else "block" for each in found}


def bound(wrong: int, count: int) -> float:
    """The share of alarms that there is at most, with 95 % (Clopper and Pearson, one-sided)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        low, high = (share, high) if _at_most(wrong, count, share) > 0.05 else (low, share)
    return high


def _at_most(wrong: int, count: int, share: float) -> float:
    logs = (
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(share) + (count - k) * math.log1p(-share)
        for k in range(wrong + 1)
    )  # fmt: skip
    return sum(map(math.exp, logs))


def _tell_recall() -> None:
    print(f"found of {len(SECRETS)} secrets, by spelling and place")
    print(" " * 18, *(f"{name:>10}" for name in PLACES))
    for name, spell in SPELLINGS.items():
        told = [recall(place, spell)[0] for place in PLACES.values()]
        print(f"{name:18}", *(f"{each:10}" for each in told))
    fits = {name: text for name, text in SECRETS.items() if len(text) < 140}
    named = sum(name in {each.name for each in _name(text.encode())} for name, text in fits.items())
    print(f"in names of DNS, base32: {named} of the {len(fits)} that fit in one")


def _tell_alarms(title: str, honest: Iterable[Asked]) -> None:
    counts: Counter[str] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    for each in honest:
        counts[each.kind] += 1
        wrong.update((each.kind, alarm) for alarm in alarms(each))
    total = sum(counts.values())
    for alarm in ("block", "warning"):
        number = sum(count for (_, kind), count in wrong.items() if kind == alarm)
        most = bound(number, total) * 10_000
        print(f"{title}: {number} of {total} {alarm}; at most {most:.1f} of 10,000 (95 %)")
    for (kind, alarm), count in wrong.items():
        print(f"  {kind}: {count} of {counts[kind]} {alarm}")


def _tell_cost() -> None:
    chance = random.Random(3)
    data = chance.randbytes(4 << 20)
    source = b"".join(each.body for each in requests(1400) if each.kind == "model API")
    source = (source * (1 + (4 << 20) // len(source)))[: 4 << 20].replace(b"AKIA", b"akia")
    words = b" ".join(word.encode() for each in FORMATS for word in each.anchors)
    bodies = {
        "nothing but words of keys": words * 700,
        "random": data,
        "base64": base64.b64encode(data),
        "JSON with source": source,
    }
    for name, body in bodies.items():
        watch = Vault(watched=KEYS_ALONE).stream("http body", "sent")
        watch.feed(body[:PIECE])
        best = min(_seconds(watch.feed, body) for _ in range(5))
        print(f"{name}: {best / len(body) * 1e9:.1f} ns a byte")
    fields = [(b"user-agent", b"curl/8"), (b"accept", b"*/*"), (b"x-id", chance.randbytes(16))]
    start = process_time()
    for _ in range(5000):
        VAULT.leaving("a.test", "/some/path?with=query", fields)
    print(f"a head: {(process_time() - start) / 5000 * 1e6:.1f} us")


def _seconds(feed: Callable[[bytes], object], body: bytes) -> float:
    start = process_time()
    for at in range(0, len(body), PIECE):
        feed(body[at : at + PIECE])
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--files", type=Path, default=Path(sys.prefix))
    options = parser.parse_args()
    _tell_recall()
    _tell_alarms("made requests", requests(options.requests))
    _tell_alarms("real files", files(options.files, options.requests))
    _tell_cost()


if __name__ == "__main__":
    main()
