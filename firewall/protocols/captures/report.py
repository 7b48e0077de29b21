"""What the recognisers say of captured flows, for people and for measuring."""

from collections.abc import Buffer, Iterator
from dataclasses import dataclass, field
from typing import Literal

import dns.exception
import dns.message
import dns.rdatatype

from firewall.protocols.captures.files import read_packets
from firewall.protocols.captures.flows import Flows, Piece
from firewall.protocols.captures.fragments import Fragments
from firewall.protocols.captures.packets import Place, read_segment
from firewall.protocols.certificates import Certificate
from firewall.protocols.conversation import Conversation
from firewall.protocols.hello import ja3, ja4
from firewall.protocols.identify import LIMIT, identify
from firewall.protocols.identity import Identity
from firewall.protocols.tlsserver import ServerFlight
from firewall.protocols.tunnels.datagrams import identify_datagram
from firewall.protocols.tunnels.dns import Questions
from firewall.protocols.unwrap import REVERSED
from firewall.requests import Direction, Finding, Protocol


@dataclass(slots=True)
class Report:
    """What is said of one flow. `protocol` is that of the client's first bytes, `host` what an HTTP
    request names."""

    transport: Literal["tcp", "udp"] = "tcp"
    client: Place | None = None
    server: Place | None = None
    protocol: Protocol = "silent"
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    ja3: str | None = None
    ja4: str | None = None
    host: str | None = None
    certificate: Certificate | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, findings: tuple[Finding, ...]) -> None:
        """Take findings in, each once: first bytes are read by two recognisers."""
        told = {_key(each) for each in self.findings}
        self.findings += [each for each in findings if _key(each) not in told]

    def name(self, identity: Identity) -> None:
        """Take in what the first bytes speak."""
        self.protocol, self.sni, self.alpn = identity.protocol, identity.sni, identity.alpn
        self.host = identity.host
        if identity.hello:
            self.ja3, self.ja4 = ja3(identity.hello), ja4(identity.hello)
        self.add(identity.findings)


def _key(finding: Finding) -> tuple[str, ...]:
    return finding.kind, finding.name, finding.evidence, finding.confidence


def _role(finding: Finding) -> bool:
    """Whether a finding is about who speaks as a client."""
    return finding.name in {name for name, _ in REVERSED.values()} or finding.name == "not-tls"


class _Stream:
    """Reads a TCP flow as the firewall would: first bytes, then both directions.

    Where it is only guessed who is the client (`guessed`), nobody's role is held against them.
    """

    def __init__(self, report: Report, *, guessed: bool = False) -> None:
        self.report = report
        self._guessed = guessed
        self._head: bytes | None = b""
        self._conversation: Conversation | None = Conversation("tcp stream")
        self._flight: ServerFlight | None = None

    def feed(self, direction: Direction, data: bytes) -> None:
        if direction == "sent" and self._head is not None:
            self._head = (self._head + data)[:LIMIT]
            self._identify(final=False)
        if self._conversation:
            self._add(self._conversation.feed(direction, data))
        if self._flight and direction == "received":
            self._add(self._flight.feed(data))
            self.report.certificate = self._flight.certificate

    def _add(self, findings: tuple[Finding, ...]) -> None:
        self.report.add(tuple(each for each in findings if not self._guessed or not _role(each)))

    def end(self) -> None:
        if self._head is not None:
            self._identify(final=True)

    def _identify(self, *, final: bool) -> None:
        identity = identify(self._head or b"", final=final)
        if identity is not None:
            self._head = None
            self.report.name(identity)
            if identity.protocol == "tls":
                self._conversation = None
                self._flight = ServerFlight()


class _Datagrams:
    """Reads UDP: the first datagram, and DNS questions."""

    def __init__(self, report: Report, questions: Questions) -> None:
        self.report = report
        self._questions = questions

    def feed(self, time: float, direction: Direction, data: bytes) -> None:
        if self.report.protocol == "silent":
            self.report.name(identify_datagram(data))
        if direction == "sent" and self.report.protocol == "dns":
            self._ask(data, time)

    def _ask(self, data: bytes, time: float) -> None:
        try:
            asked = dns.message.from_wire(data, question_only=True).question
        except (dns.exception.DNSException, ValueError):
            return
        for each in asked[:1]:
            name = each.name.to_text(omit_final_dot=True)
            kind = dns.rdatatype.to_text(each.rdtype)
            self.report.add(self._questions.inspect(name, kind, time))


def report_stream(sent: bytes, received: bytes = b"") -> Report:
    """What is said of a stream whose bytes are at hand, without their order."""
    stream = _Stream(Report())
    stream.feed("sent", sent)
    stream.feed("received", received)
    stream.end()
    return stream.report


def report_capture(data: Buffer) -> list[Report]:
    """A report for each flow in a capture file that carries data, in the order they begin.

    Raises CaptureError for a file that is none.
    """
    flows, readers, fragments = Flows(), _Readers(), Fragments()
    for packet in read_packets(data):
        if segment := read_segment(packet, fragments.join):
            for piece in flows.feed(segment):
                readers.feed(piece)
    for piece in flows.rest():
        readers.feed(piece)
    return list(readers.reports())


class _Readers:
    """A reader for each flow."""

    def __init__(self) -> None:
        self._readers: dict[int, tuple[Piece, _Stream | _Datagrams]] = {}
        self._questions = Questions()

    def feed(self, piece: Piece) -> None:
        key = id(piece.flow)
        if key not in self._readers:
            self._readers[key] = piece, self._make(piece)
        reader = self._readers[key][1]
        if isinstance(reader, _Stream):
            reader.feed(piece.direction, piece.data)
        else:
            reader.feed(piece.time, piece.direction, piece.data)

    def reports(self) -> Iterator[Report]:
        for _, reader in self._readers.values():
            if isinstance(reader, _Stream):
                reader.end()
            yield reader.report

    def _make(self, piece: Piece) -> _Stream | _Datagrams:
        flow = piece.flow
        report = Report(flow.transport, flow.client, flow.server)
        if flow.transport == "tcp":
            return _Stream(report, guessed=not flow.begun)
        return _Datagrams(report, self._questions)
