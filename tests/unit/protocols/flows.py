"""Simulated flows: (time, direction, size) as TLS records of known kinds of traffic move.

Sizes are of the protocols' messages with 22 to 29 bytes of TLS around them (RFC 8446 section 5.2).
They are models, not captures: what is measured on them says how the score thinks, not how often it
errs in the world.
"""

import random
from collections.abc import Callable, Iterator

from firewall.requests import Direction

type Move = tuple[float, Direction, int]

TLS = 24


def _paced(chance: random.Random, seconds: float, mean: float) -> Iterator[float]:
    now = 12.0
    while (now := now + chance.expovariate(1 / mean)) < seconds:
        yield now


def _answer(now: float, sent: int, received: int) -> list[Move]:
    return [(now, "sent", sent + TLS), (now + 0.08, "received", received + TLS)]


def miner(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """xmrig: shares, their answers, a keep-alive every minute, jobs."""
    moves: list[Move] = []
    for now in _paced(chance, seconds, chance.uniform(10, 40)):
        moves += _answer(now, 195 + chance.randint(0, 4), 63 + chance.randint(0, 2))
    for now in _paced(chance, seconds, chance.uniform(20, 90)):
        moves.append((now, "received", 420 + chance.randint(-8, 8) + TLS))
    for minute in range(1, int(seconds / 60)):
        moves += _answer(60.0 * minute, 78, 70)
    return iter(sorted(moves))


def server_sent_events(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """One request, then events one way."""
    for now in _paced(chance, seconds, 5):
        yield now, "received", chance.randint(60, 400) + TLS


def chat(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """A WebSocket: what people write, heartbeats, what others write."""
    moves: list[Move] = []
    for now in _paced(chance, seconds, 45):
        moves += _answer(now, 60 + int(chance.lognormvariate(4, 1)), 90)
    for now in _paced(chance, seconds, 12):
        moves.append((now, "received", 120 + int(chance.lognormvariate(4.5, 1)) + TLS))
    for beat in range(1, int(seconds / 41)):
        moves += _answer(41.25 * beat, 22, 11)
    return iter(sorted(moves))


def mqtt(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """A sensor: readings of one size with acknowledgements, pings, now and then a command."""
    size = chance.randint(40, 260)
    moves: list[Move] = []
    for beat in range(1, int(seconds / 30)):
        moves += _answer(30.0 * beat + 0.3, size + chance.randint(0, 3), 4)
    for beat in range(1, int(seconds / 60)):
        moves += _answer(60.0 * beat + 7, 2, 2)
    for now in _paced(chance, seconds, 900):
        moves.append((now, "received", chance.randint(20, 80) + TLS))
    return iter(sorted(moves))


def language_server(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """LSP: keystrokes, completions of any length, diagnostics."""
    for now in _paced(chance, seconds, 3):
        yield from _answer(
            now, 250 + int(chance.lognormvariate(4, 1)), 200 + int(chance.lognormvariate(7, 1.5))
        )
        if chance.random() < 0.3:
            yield now + 2.5, "received", 300 + int(chance.lognormvariate(6, 1.2)) + TLS


def telemetry(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """A training run: metrics every few seconds, acknowledged."""
    for now in _paced(chance, seconds, 10):
        yield from _answer(now, 900 + int(chance.lognormvariate(6, 0.6)), 180)


def commanded_sensor(chance: random.Random, seconds: float = 3600) -> Iterator[Move]:
    """MQTT at its worst: readings as large as shares, commands as large and frequent as jobs."""
    moves: list[Move] = []
    for beat in range(1, int(seconds / 30)):
        moves += _answer(30.0 * beat + 0.3, 200 + chance.randint(0, 3), 4)
    for now in _paced(chance, seconds, 60):
        moves.append((now, "received", 400 + chance.randint(-8, 8) + TLS))
    return iter(sorted(moves))


type Kind = Callable[[random.Random], Iterator[Move]]

BENIGN: dict[str, Kind] = {
    "server-sent events": server_sent_events,
    "WebSocket chat": chat,
    "MQTT sensor": mqtt,
    "language server": language_server,
    "training telemetry": telemetry,
}
