"""DNS: synthetic addresses for every name, nothing for odd questions, a record for each."""

from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firewall.judge
from firewall.actor import Actor
from firewall.causes import Cause
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.dns import Resolution, parse
from firewall.proxy.names import Names
from tests.unit.proxy.stage import Memory

ACTOR = Actor("test")
POLICY = "version: 1\nname: test\nnetwork: {rules: [{name: a, allow: https, hosts: [a.test]}]}\n"
TUNNEL = (
    ".".join(["mzxw6ytboi2dimrugezdgnbvgy3tqojqmzxw6ytboi2dimrugezdgnbvgy3"] * 3) + ".evil.test"
)


class Server:
    def __init__(self, folder: Path) -> None:
        path = folder / "policy.yaml"
        path.write_text(POLICY)
        self.memory = Memory()
        self.names = Names()
        self.judge = Judge(load_policy(path), self.memory, self.memory, self.memory)
        self.resolution = Resolution(self.judge, self.names, lambda call: call())

    def ask(self, name: str, kind: str) -> dns.message.Message:
        replies: list[bytes] = []
        query = dns.message.make_query(name, kind)
        self.resolution.answer(query.to_wire(), ACTOR, {}, replies.append)
        (reply,) = replies
        response = dns.message.from_wire(reply)
        assert query.is_response(response)
        return response


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def _addresses(response: dns.message.Message) -> list[str]:
    return [str(record) for answer in response.answer for record in answer]


@pytest.mark.parametrize("name", ["a.test", "denied.test", "A.TEST."])
def test_every_name_has_an_address_that_leads_back_to_it(server: Server, name: str) -> None:
    (four,) = _addresses(server.ask(name, "A"))
    (six,) = _addresses(server.ask(name, "AAAA"))
    assert {server.names.name(four), server.names.name(six)} == {name.lower().rstrip(".")}
    assert server.memory.verdicts() == [("allow", "names")] * 2


@pytest.mark.parametrize(
    ("kind", "action"), [("HTTPS", "allow"), ("TXT", "deny"), ("PTR", "deny"), ("MX", "deny")]
)
def test_other_questions_are_answered_empty(server: Server, kind: str, action: str) -> None:
    response = server.ask("a.test", kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert response.answer == []
    assert server.memory.verdicts() == [(action, "names")]


def test_a_tunnel_is_refused_and_recorded_as_one(server: Server) -> None:
    response = server.ask(TUNNEL, "TXT")
    assert response.rcode() == dns.rcode.REFUSED
    assert server.memory.verdicts() == [("deny", "guards.tunnels")]


def test_in_quarantine_names_lead_to_the_refusal_and_nowhere_else(server: Server) -> None:
    server.judge.quarantine(Cause("by-hand", "somebody asked"))
    (address,) = _addresses(server.ask("a.test", "A"))
    assert server.names.name(address) == "a.test"
    assert _addresses(server.ask("a.test", "TXT")) == []
    assert server.ask(TUNNEL, "A").rcode() == dns.rcode.REFUSED
    assert server.memory.verdicts() == [("deny", "quarantine")] * 3


def test_localhost_stays_local(server: Server) -> None:
    assert _addresses(server.ask("localhost", "A")) == ["127.0.0.1"]
    assert _addresses(server.ask("app.localhost", "AAAA")) == ["::1"]
    assert server.memory.records == []


def test_the_machines_own_name_stays_local(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer's workers find each other by it."""
    monkeypatch.setattr("socket.gethostname", lambda: "Node1.cluster.test")
    assert _addresses(server.ask("node1", "A")) == ["127.0.0.1"]
    assert _addresses(server.ask("node1.cluster.test", "AAAA")) == ["::1"]
    assert _addresses(server.ask("node2.cluster.test", "A"))[0].startswith("198.18.")


def test_a_full_log_means_no_answer_but_a_refusal(server: Server) -> None:
    server.memory.full = True
    response = server.ask("a.test", "A")
    assert response.answer == []


@pytest.mark.parametrize("point", ["dns.question", "dns.respond"])
def test_a_fault_is_a_recorded_refusal(
    server: Server, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    response = server.ask("a.test", "A")
    assert response.rcode() == dns.rcode.REFUSED
    assert ("deny", f"fail-closed.{point}") in server.memory.verdicts()


@given(st.binary(max_size=200))
def test_garbage_is_no_question(data: bytes) -> None:
    query = parse(data)
    assert query is None or len(query.question) == 1


def test_an_answer_is_no_question() -> None:
    query = dns.message.make_query("a.test", "A")
    query.flags |= dns.flags.QR
    assert parse(query.to_wire()) is None


def test_a_message_of_thousands_of_records_is_not_read() -> None:
    record = b"\xc0\x0c\0\x10\0\1\0\0\0\0\0\2\1a"
    for counts, records in ((b"\0\1\0\0\0\0\x0f\xff", 4095), (b"\0\1\0\0\0\0\0\x64", 100)):
        wire = b"\0\1\1\0" + counts + b"\1a\0\0\1\0\1" + record * records
        assert parse(wire) is None
    padded = dns.message.make_query("a.test", "A", use_edns=0, pad=468)
    assert parse(padded.to_wire()) is not None, "clients that pad their questions are answered"


def test_many_encoded_names_below_one_domain_are_refused(server: Server) -> None:
    names = [f"{number:02d}c5hk2mq9wz7xy4tn3f.evil.test" for number in range(40)]
    codes = [server.ask(name, "TXT").rcode() for name in names]
    assert codes.count(dns.rcode.REFUSED) == 1
    (record,) = [each for each in server.memory.records if each["request"]["findings"]]
    assert record["request"]["findings"][0]["evidence"].startswith("30 names below evil.test")
    assert record["verdict"]["rule"] == "guards.tunnels"
