"""The sandbox's DNS server: every name exists, none is asked of the outside.

Address questions get the name's synthetic addresses, allowed or not, so that the connection comes
to the firewall and its refusal can explain itself. All other questions are answered empty and
counted.
"""

import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.protocols import Questions
from firewall.proxy.names import Names
from firewall.requests import Resolve
from firewall.verdict import Verdict

if TYPE_CHECKING:  # 20 ms, loaded with the first question, so that an agent starts sooner
    from dns.message import Message

TTL = 60
"""Seconds; a name keeps its address far longer."""

QUESTION_LIMIT = 4096
"""Bytes of a question; the longest name takes 255, and clients pad to 128 (RFC 8467)."""
ADDITIONAL_LIMIT = 2
"""Records beside the question: EDNS (RFC 6891) and a signature (RFC 8945)."""

_COUNTS = struct.Struct("!4xHHHH")
"""RFC 1035 4.1.1: questions, answers, authorities and additional records."""

type Reply = Callable[[bytes], None]


class Resolution:
    """One question: judged, then answered through `reply`, on the thread that `post` runs on."""

    def __init__(
        self, judge: Judge, names: Names, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._judge = judge
        self._names = names
        self._post = post
        self._questions = Questions()

    def answer(self, wire: bytes, actor: Actor, facts: dict[str, object], reply: Reply) -> bool:
        """Answer one DNS message (RFC 1035 4.1). What cannot be read gets no answer, and False."""
        query = parse(wire)
        if query is None:
            return False
        request = self._question(query)

        def refuse(verdict: Verdict) -> None:
            reply(refusal(query))

        def respond(verdict: Verdict) -> None:
            with fail_closed(self._judge, "dns.respond", refuse, request=request, actor=actor):
                judge.probe("dns.respond")
                reply(self._response(query, request, verdict))

        def settle(verdict: Verdict) -> None:
            self._post(lambda: respond(verdict))

        with fail_closed(self._judge, "dns.question", refuse, request=request, actor=actor):
            judge.probe("dns.question")
            if self._is_local(request.name):
                reply(_message(query, request, ["127.0.0.1", "::1"]))
            else:
                self._judge.decide(request, actor, facts, settle)
        return True

    def _question(self, query: "Message") -> Resolve:
        import dns.rdatatype

        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        return Resolve(name, kind, self._questions.inspect(name, kind, time.monotonic()))

    def _is_local(self, name: str) -> bool:
        """Names of the machine itself (RFC 6761 6.3, and what programs that cluster look up)."""
        own = socket.gethostname().lower()
        local = name == "localhost" or name.endswith(".localhost")
        return local or (
            name in (own, own.partition(".")[0]) and name not in self._judge.policy.names
        )

    def _response(self, query: "Message", request: Resolve, verdict: Verdict) -> bytes:
        """In quarantine too a name has its address, so that its connection comes and is told."""
        named = verdict.allowed or self._judge.quarantined is not None
        if not verdict.allowed and request.findings:
            return refusal(query)
        if not named or request.kind not in ("A", "AAAA"):
            return _message(query, request, [])
        return _message(query, request, [str(each) for each in self._names.addresses(request.name)])


def parse(wire: bytes) -> "Message | None":
    """A query with exactly one question, or None; what is more than that is not read."""
    if not _is_small(wire):
        return None
    import dns.exception
    import dns.flags
    import dns.message

    try:
        query = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    is_query = not query.flags & dns.flags.QR and len(query.question) == 1
    return query if is_query else None


def _is_small(wire: bytes) -> bool:
    """Whether it is cheap to read: a message of thousands of records takes a tenth of a second."""
    if not _COUNTS.size <= len(wire) <= QUESTION_LIMIT:
        return False
    questions, answers, authorities, additional = _COUNTS.unpack_from(wire)
    alone = (questions, answers, authorities) == (1, 0, 0)
    return alone and int(additional) <= ADDITIONAL_LIMIT


def refusal(query: "Message") -> bytes:
    import dns.message
    import dns.rcode

    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.REFUSED)
    return bytes(response.to_wire())


def _message(query: "Message", request: Resolve, addresses: list[str]) -> bytes:
    """An answer with those of the addresses that the question is about; none is an empty answer."""
    import dns.message
    import dns.rrset

    response = dns.message.make_response(query, recursion_available=True)
    wanted = [each for each in addresses if _kind(each) == request.kind]
    if wanted:
        name = query.question[0].name
        response.answer.append(dns.rrset.from_text(name, TTL, "IN", request.kind, *wanted))
    return bytes(response.to_wire())


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"
