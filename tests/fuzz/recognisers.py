"""A coverage-guided fuzzer of all recognisers.

    uv run --group fuzz python -m tests.fuzz.recognisers [CORPUS_FOLDER] [-max_total_time=60]

The invariants: nothing raises; the answer is the same whether the bytes come whole or in pieces;
what is kept while reading stays within its bound.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator

from firewall.keyformats import NAMES
from firewall.protocols import (
    Conversation,
    ProtocolError,
    Questions,
    Watch,
    identify,
    identify_datagram,
    inspect_request,
)
from firewall.protocols.captures import CaptureError, report_capture
from firewall.protocols.grpc import Pieces
from firewall.protocols.hello import ClientHello, ja3, ja4
from firewall.protocols.http2 import PREFACE
from firewall.protocols.jsonstream import LIMIT
from firewall.protocols.leaks import finder
from firewall.protocols.leakstream import KEEP, Leaks
from firewall.protocols.tls import parse_client_hello
from firewall.protocols.tlsserver import ServerFlight
from firewall.protocols.websocket import Frames
from firewall.requests import Direction, Finding

SEEDS = (
    b'{"id": 1, "method": "mining.subscribe", "params": []}\n',
    b'\5\1\0\5\1\0\3\1a\0\x50{"method":"login","params":{"login":"w","pass":"x"}}',
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nSSH-2.0-x\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\x81\x84\1\2\3\4abcd",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
    b"\0\1\0\1\0\0\0\1\0\4\0\0",
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + bytes(33) + b"\0\x02\x13\x01\x01\0\0\0",
    b"\x16\x03\x03\0\x0e\x02\0\0\x03abc\x0b\0\0\x03\0\0\0",
    b"\0\0\0\0\x05\x0a\x03abc",
    PREFACE + b"\0\0\0\4\0\0\0\0\0\0\0\1\1\4\0\0\0\1\x83\0\0\2\0\0\0\0\0\1{}",
    b"%67hp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
    b"Z2hwX3pRV0J1VFNPb1JpNEE5c3BIY1ZZNW5jbnNEa3hrSjBtTHExNw",
    b"\xd4\xc3\xb2\xa1" + bytes(16) + b"\x65\0\0\0",
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a" + bytes(12) + b"\x1c\0\0\0",
)  # fmt: skip
"""One for each kind of structure, for the fuzzer to start from."""

CARRIERS: tuple[tuple[str, Direction], ...] = (
    ("tcp stream", "sent"),
    ("tls stream", "received"),
    ("http body", "sent"),
    ("websocket", "received"),
    ("grpc", "sent"),
)


def fuzz_one(data: bytes) -> None:
    """Give one input to every recogniser; raises AssertionError where an invariant breaks."""
    size, data = 1 + (data[0] if data else 0) % 32, data[1:]
    for check in CHECKS:
        check(data, size)


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _check_identify(data: bytes, size: int) -> None:
    whole = identify(data, final=True)
    assert whole is not None
    for end in range(size, len(data), size):
        early = identify(data[:end])
        if early is not None:
            assert early == whole, end
            break
    identify_datagram(data)


def _check_watch(data: bytes, size: int) -> None:
    for carrier, direction in CARRIERS:
        whole = Watch(carrier, direction).feed(data)
        watch = Watch(carrier, direction)
        pieces: list[Finding] = [each for piece in _cut(data, size) for each in watch.feed(piece)]
        assert tuple(pieces) == whole, carrier
        assert len(watch._documents._text) <= 2 * LIMIT


def _check_conversation(data: bytes, size: int) -> None:
    talk = Conversation("tcp stream")
    for number, piece in enumerate(_cut(data, 8 * size)):
        talk.feed("received" if number % 2 else "sent", piece)


def _check_framing(data: bytes, size: int) -> None:
    pieces, frames = Pieces(), Frames()
    assert b"".join(each for piece in _cut(data, size) for each in pieces.feed(piece)) == b"".join(
        Pieces().feed(data)
    )
    read = [each.data for piece in _cut(data, size) for each in frames.feed(piece)]
    assert b"".join(read) == b"".join(each.data for each in Frames().feed(data))


def _check_heads(data: bytes, size: int) -> None:
    text = data.decode("latin-1")
    inspect_request(text[:size], text[size:], [(data[:size], data[size:])])
    with contextlib.suppress(ProtocolError):
        hello = parse_client_hello(data)
        if isinstance(hello, ClientHello):
            assert len(ja3(hello)) == 32
            assert len(ja4(hello)) == 36
    Questions().inspect(text, "TXT", float(size))


def _check_server_flight(data: bytes, size: int) -> None:
    whole, cut = ServerFlight(), ServerFlight()
    pieces = [each for piece in _cut(data, size) for each in cut.feed(piece)]
    assert tuple(pieces) == whole.feed(data)
    assert cut.certificate == whole.certificate


def _check_leaks(data: bytes, size: int) -> None:
    whole, cut = Leaks(finder(NAMES)), Leaks(finder(NAMES))
    pieces = [each for piece in _cut(data, size) for each in cut.feed(piece)]
    found = {(each.format.name, each.secret) for each in whole.feed(data)}
    assert {(each.format.name, each.secret) for each in pieces} == found
    assert len(cut._tail) <= KEEP


def _check_captures(data: bytes, size: int) -> None:
    with contextlib.suppress(CaptureError):
        report_capture(data)


CHECKS: tuple[Callable[[bytes, int], None], ...] = (
    _check_identify,
    _check_watch,
    _check_conversation,
    _check_framing,
    _check_heads,
    _check_server_flight,
    _check_leaks,
    _check_captures,
)


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
