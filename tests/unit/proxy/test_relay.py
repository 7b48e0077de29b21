"""The relay: every byte, half-closes, backpressure, and findings that wait for a verdict."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from firewall.proxy import relay
from firewall.proxy.directions import Metered, Watched
from firewall.proxy.loop import EDGE, READ, Loop
from firewall.proxy.relay import Relay
from firewall.requests import Direction, Finding
from firewall.verdict import Action, Verdict
from tests.waiting import PATIENCE

LOGIN = b'{"id":1,"method":"mining.subscribe","params":[]}\n'
BULK = bytes(range(256)) * 65_536


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return near, far


@dataclass
class Bench:
    """A relay on a thread of its own between `client` and `server`, the test's ends."""

    watched: bool
    allow: bool = True
    meter: Metered | None = None
    asked: list[tuple[Direction, Sequence[Finding]]] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = Loop()
        self.client, inner = _tcp_pair()
        outer, self.server = _tcp_pair()
        inner.setblocking(False)
        outer.setblocking(False)
        for each in (inner, outer):
            self.loop.watch(each.fileno(), READ | EDGE, lambda _: None)
        judge = self._judge if self.watched else None
        self.relay = Relay(self.loop, inner, outer, self._closed, judge, meter=self.meter)
        self.loop.post(self.relay.start)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def _judge(
        self, direction: Direction, findings: Sequence[Finding], resume: Callable[[bool], None]
    ) -> None:
        self.asked.append((direction, findings))
        self.loop.post(lambda: resume(True) if self.allow else self.relay.abort())

    def _closed(self, sent: int, received: int) -> None:
        self.closed.append((sent, received))

    def turn(self) -> None:
        """Return when the relay has had a turn."""
        turned = threading.Event()
        self.loop.post(turned.set)
        assert turned.wait(PATIENCE)

    def end(self) -> None:
        if not self.thread.is_alive():
            return
        self.loop.post(self.relay.abort)
        self.loop.stop()
        self.thread.join(PATIENCE)
        self.client.close()
        self.server.close()
        self.loop.close()


@pytest.fixture(params=[False, True], ids=["spliced", "watched"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(watched=request.param)
    yield made
    made.end()


def _read_all(source: socket.socket) -> bytes:
    chunks = []
    while chunk := source.recv(1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def test_bytes_arrive_whole_and_half_closes_travel(bench: Bench) -> None:
    def send() -> None:
        bench.client.sendall(BULK)
        _end(bench.client)

    sender = threading.Thread(target=send)
    sender.start()
    assert _read_all(bench.server) == BULK
    bench.server.sendall(b"answer after the client's end")
    _end(bench.server)
    assert _read_all(bench.client) == b"answer after the client's end"
    sender.join()
    bench.end()
    assert bench.closed == [(len(BULK), 29)]


def _end(end: socket.socket) -> None:
    end.shutdown(socket.SHUT_WR)


def test_nothing_is_kept_of_what_has_been_moved(bench: Bench) -> None:
    bench.client.sendall(b"sent")
    assert bench.server.recv(10) == b"sent"
    bench.turn()
    sent = bench.relay._sent
    kept = sent._kept if isinstance(sent, Watched) else sent._copied
    assert (kept.obj, sent.held) == (b"", False)


def test_what_came_before_the_relay_began_arrives_and_so_does_its_end() -> None:
    """An edge has told of it already: nothing but the relay's own look finds it."""
    client, inner = _tcp_pair()
    outer, server = _tcp_pair()
    server.sendall(b"I speak first")
    client.sendall(b"hello")
    _end(client)
    loop = Loop()
    closed: list[tuple[int, int]] = []
    told: list[int] = []
    for each in (inner, outer):
        each.setblocking(False)
        loop.watch(each.fileno(), READ | EDGE, told.append)
    loop.after(0.05, Relay(loop, inner, outer, lambda *moved: closed.append(moved)).start)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert _read_all(server) == b"hello"
    assert len(told) == 2
    _end(server)
    assert _read_all(client) == b"I speak first"
    loop.stop()
    thread.join(PATIENCE)
    loop.close()
    client.close()
    server.close()
    assert closed == [(5, 13)]


def test_a_wait_for_a_verdict_takes_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(watched=True)
    moves: list[int] = []
    move = Watched.move

    def counted(self: Watched) -> bool:
        moves.append(1)
        return move(self)

    monkeypatch.setattr(Watched, "move", counted)
    bench.relay._sent._judge = lambda *_: None  # type: ignore[union-attr]
    bench.client.sendall(LOGIN)
    for _ in range(20):
        bench.turn()
        time.sleep(0.005)
    bench.end()
    assert len(moves) <= 3, "the loop is not woken for a target that has room"


def test_a_turn_ends_with_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces are there, the next one waits until other flows have had their turn."""
    turns: list[None] = []
    again = Relay._pump_once_more

    def pump_once_more(relay: Relay) -> None:
        turns.append(None)
        again(relay)

    monkeypatch.setattr(relay, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(Relay, "_pump_once_more", pump_once_more)
    sender = threading.Thread(target=bench.client.sendall, args=(BULK,))
    sender.start()
    got = 0
    while got < len(BULK):
        got += len(bench.server.recv(1 << 20))
    sender.join(PATIENCE)
    # A piece is of 64 KiB at most, or of the kernel's pipe.
    assert len(turns) >= len(BULK) >> 21


def test_a_reader_that_stops_stops_the_sender(bench: Bench) -> None:
    bench.client.setblocking(False)
    sent = refused = 0
    while refused < 100 and sent < 64 << 20:
        try:
            sent += bench.client.send(BULK)
            refused = 0
        except BlockingIOError:
            refused += 1
            bench.turn()
    assert sent < 32 << 20, "the relay keeps no more than the kernel's buffers"
    received = bench.server.recv(1 << 20)
    assert received == BULK[: len(received)]


def test_a_reset_travels_on(bench: Bench) -> None:
    bench.client.sendall(b"x")
    assert bench.server.recv(1) == b"x"
    linger = b"\1\0\0\0\0\0\0\0"
    bench.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    bench.server.close()
    with pytest.raises(ConnectionResetError):
        bench.client.recv(1)


@pytest.mark.parametrize("direction", ["sent", "received"])
def test_a_blocked_finding_never_arrives(direction: Direction) -> None:
    bench = Bench(watched=True, allow=False)
    source, target = bench.client, bench.server
    if direction == "received":
        source, target = target, source
    source.sendall(LOGIN)
    with contextlib.suppress(ConnectionResetError):
        assert target.recv(100) == b""
    bench.end()
    ((seen, findings),) = bench.asked
    assert seen == direction
    assert findings[0].kind == "mining"


def test_an_allowed_finding_goes_on() -> None:
    bench = Bench(watched=True, allow=True)
    bench.client.sendall(LOGIN)
    assert bench.server.recv(100) == LOGIN
    bench.end()
    assert len(bench.asked) == 1


class Broken:
    """A recogniser that fails on what the agent sends."""

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        raise RecursionError("too deep")


def test_what_a_recogniser_fails_on_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(watched=True)
    failed: list[str] = []

    @contextlib.contextmanager
    def guard(point: str) -> Iterator[None]:
        try:
            yield
        except RecursionError:
            failed.append(point)
            bench.relay.abort()

    bench.relay._guard = guard
    bench.relay._sent._watch = Broken()  # type: ignore[union-attr]
    bench.client.sendall(b"first")
    with contextlib.suppress(ConnectionResetError):
        assert bench.server.recv(100) == b"", "nothing of it arrives"
    bench.end()
    assert failed == ["flow.relay"]
    assert bench.closed == [(0, 0)]


class Budget:
    """So many bytes in each direction, and no more."""

    def __init__(self, sent: int, received: int) -> None:
        self.budget: dict[Direction, int] = {"sent": sent, "received": received}
        self.denied: list[Direction] = []

    def left(self, direction: Direction) -> int:
        return self.budget[direction]

    def spend(
        self, direction: Direction, size: int, settled: Callable[[Verdict | None], None]
    ) -> None:
        if size > self.budget[direction]:
            self.denied.append(direction)
            settled(Verdict(Action.DENY, "limits.x", "reached"))
            return
        self.budget[direction] -= size
        settled(None)


@pytest.mark.parametrize("watched", [False, True], ids=["spliced", "watched"])
@pytest.mark.parametrize("direction", ["sent", "received"])
def test_no_byte_passes_beyond_a_limit(watched: bool, direction: Direction) -> None:
    budget = Budget(100_000, 200_000)
    bench = Bench(watched, meter=budget)
    ends = (bench.client, bench.server)
    source, target = ends if direction == "sent" else ends[::-1]
    got = 0
    try:
        target.settimeout(PATIENCE)
        thread = threading.Thread(target=_send_until_cut, args=(source,))
        thread.start()
        with contextlib.suppress(ConnectionResetError):
            while data := target.recv(65536):
                got += len(data)
        thread.join(PATIENCE)
    finally:
        bench.end()
    assert budget.denied == [direction]
    assert got <= (100_000 if direction == "sent" else 200_000)
    assert bench.closed, "and the flow is over"


def _send_until_cut(source: socket.socket) -> None:
    with contextlib.suppress(OSError):
        source.sendall(BULK)


@pytest.mark.parametrize("watched", [False, True], ids=["spliced", "watched"])
def test_what_ends_exactly_at_its_limit_is_not_cut(watched: bool) -> None:
    budget = Budget(10_000, 10_000)
    bench = Bench(watched, meter=budget)
    try:
        bench.client.sendall(BULK[:10_000])
        bench.client.shutdown(socket.SHUT_WR)
        bench.server.settimeout(PATIENCE)
        got = b""
        while data := bench.server.recv(65536):
            got += data
        assert got == BULK[:10_000]
        bench.server.close()
    finally:
        bench.end()
    assert (budget.denied, budget.budget["sent"]) == ([], 0)
