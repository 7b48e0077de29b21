"""DNS questions: tunnels flagged, long honest names not."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import Questions, inspect_question
from firewall.requests import Finding

RANDOM = random.Random(7)


def base32(size: int) -> str:
    return base64.b32encode(RANDOM.randbytes(size)).decode().lower().rstrip("=")


TUNNELS = [
    ("vaaaakardli.pirate.sea", "A", "iodine", "version handshake"),
    ("yrbn5u.t.example.com", "NULL", "iodine", "type NULL"),
    ("x.example.com", "TYPE65399", "iodine", "type TYPE65399"),
    ("dnscat.0f3a00b1c2d3e4", "TXT", "dnscat2", "labels dnscat and hex"),
    ("7c1b00a1d20000000006.example.com", "TXT", "dnscat2", "packet of 10 bytes"),
    (
        f"{'ab' * 30}.{'12' * 30}.example.com",
        "A",
        "dns-tunnel",
        "120 encoded characters in 2 labels",
    ),
    (f"{base32(38)}.{base32(38)}.t.example.com", "A", "dns-tunnel", "encoded characters"),
    (f"{base32(39)}.t.example.com.", "CNAME", "dns-tunnel", "63 encoded characters in 1 labels"),
    ("0ib\\193\\200\\201\\250z.t.example.com", "A", "dns-tunnel", "4 raw bytes"),
]


@pytest.mark.parametrize(("name", "kind", "tool", "evidence"), TUNNELS)
def test_tunnels(name: str, kind: str, tool: str, evidence: str) -> None:
    (finding,) = inspect_question(name, kind)
    assert (finding.kind, finding.name) == ("tunnel", tool)
    assert evidence in finding.evidence
    assert finding.where == f"DNS question of type {kind}"


HONEST = [
    ("www.example.com", "A"),
    (".", "NS"),
    ("com", "A"),
    ("d111111abef8.cloudfront.net", "A"),
    ("internal-a0123456789abcdef0123456789abcdef-1234567890.us-east-1.elb.amazonaws.com", "A"),
    ("a1b2c3d4e5f60718293a4b5c6d7e8f90.safeframe.example.com", "AAAA"),
    ("550e8400-e29b-41d4-a716-446655440000.prod.example.com", "A"),
    ("20161025._domainkey.example.com", "TXT"),
    ("k2xyz7qj3rmo4t5u6v7w8x9y2z3a4b5c._domainkey.amazonses.com", "CNAME"),
    ("_3639ac514e785e898d2646601fa951d5.example.com", "CNAME"),
    ("_acme-challenge.www.example.com", "TXT"),
    ("_dmarc.example.com", "TXT"),
    ("44d88612fea8a8f36de82e1278abb02f.hash.example.com", "TXT"),
    ("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.ipfs.example.link", "A"),
    ("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa", "PTR"),
    ("r3---sn-4g5e6nsz.googlevideo.example", "A"),
    ("this-is-a-very-long-branch-name-for-a-preview-deployment-of-team.apps.example.com", "A"),
    ("very-long-service-name-in-kubernetes.some-long-namespace-name.svc.cluster.local", "SRV"),
    ("1234567890-abcdefghijklmnopqrstuvwxyz012345.apps.googleusercontent.example", "A"),
    ("xn--bcher-kva.example", "A"),
]


@pytest.mark.parametrize(("name", "kind"), HONEST)
def test_honest_names(name: str, kind: str) -> None:
    assert inspect_question(name, kind) == ()


@given(st.text(max_size=260), st.sampled_from(["A", "TXT", "NULL", ""]))
def test_raises_on_nothing(name: str, kind: str) -> None:
    assert len(inspect_question(name, kind)) <= 1


def ask(names: list[str], kind: str = "A", step: float = 1.0) -> list[Finding]:
    questions = Questions()
    found = (questions.inspect(name, kind, at * step) for at, name in enumerate(names))
    return [finding for findings in found for finding in findings]


def short_names(count: int, owner: str = "t.example.com") -> list[str]:
    """Names that are too short to be told alone."""
    return [f"{base32(12)}.{owner}" for _ in range(count)]


@pytest.mark.parametrize(("kind", "confidence"), [("A", "suspicious"), ("TXT", "likely")])
def test_many_short_names_are_told_once_a_window(kind: str, confidence: str) -> None:
    (finding,) = ask(short_names(50), kind)
    assert (finding.kind, finding.name, finding.confidence) == ("tunnel", "dns-tunnel", confidence)
    assert finding.evidence == "30 names below example.com carry 600 encoded characters"
    assert finding.where == "DNS questions of 60 seconds"
    assert len(ask(short_names(175), kind)) == 3


def words(count: int) -> list[str]:
    return [f"node-{number}.training-cluster.example.com" for number in range(count)]


QUIET_RATES = {
    "slowly": (short_names(50), 3.0),
    "one name again and again": (short_names(1) * 500, 0.1),
    "words": (words(500), 0.1),
    "addresses": ([f"4.3.{n}.127.zen.example.org" for n in range(200)], 0.1),
    "content network": ([f"r{n}---sn-4g5e6nsz.video.example.com" for n in range(200)], 0.1),
    "a domain for each": ([f"{base32(12)}.{n}.github.io" for n in range(200)], 0.1),
    "pods": ([f"trainer-7d9f8b6c{n % 10}-x2k4q.pods.example.com" for n in range(200)], 0.1),
    "numbers": ([f"{n:014d}.counter.example.com" for n in range(200)], 0.1),
}


@pytest.mark.parametrize(("names", "step"), QUIET_RATES.values(), ids=QUIET_RATES.keys())
def test_quiet_rates(names: list[str], step: float) -> None:
    assert ask(names, step=step) == []


def test_domains_are_forgotten_not_gathered() -> None:
    questions = Questions()
    for number in range(2000):
        questions.inspect(f"{base32(12)}.owner{number}.com", "A", 0.0)
    assert len(questions._domains) == 256


@given(st.lists(st.tuples(st.text(max_size=80), st.sampled_from(["A", "TXT", ""])), max_size=40))
def test_rates_raise_on_nothing(asked: list[tuple[str, str]]) -> None:
    questions = Questions()
    for name, kind in asked:
        questions.inspect(name, kind, 0.0)
