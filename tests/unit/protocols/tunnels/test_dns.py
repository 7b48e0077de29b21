"""DNS questions: tunnels flagged, long honest names not."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import inspect_question

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
