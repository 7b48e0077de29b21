"""Headers that ask for another method or path: read in every spelling, and bounded."""

import pytest

from firewall.proxy.http.overrides import overrides, too_many
from firewall.requests import Override


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"X-HTTP-Method-Override", b"DELETE", [Override("x-http-method-override", "DELETE")]),
        (b"x-http-method", b"merge", [Override("x-http-method", "MERGE")]),
        (b"X-Method-Override", b" put ", [Override("x-method-override", "PUT")]),
        (b"X_HTTP_Method_Override", b"PUT", [Override("x-http-method-override", "PUT")]),
        (b"X.HTTP~Method!Override", b"PUT", [Override("x-http-method-override", "PUT")]),
        (b"Destination", b"https://h.test/b", [Override("destination", path="/b")]),
        (b"Date", b"/b", []),
        (
            b"X-HTTP-Method-Override",
            b"GET, delete",
            [Override("x-http-method-override", each) for each in ("GET", "DELETE")],
        ),
        (b"X-Original-URL", b"/admin?a=b", [Override("x-original-url", path="/admin?a=b")]),
        (b"X-Rewrite-Url", b"https://h.test/a", [Override("x-rewrite-url", path="/a")]),
        (b"X-Rewrite-Url", b"https://h.test", [Override("x-rewrite-url", path="/")]),
        (b"X-Rewrite-Url", b"https://h.test?q", [Override("x-rewrite-url", path="/?q")]),
        (b"X-Original-URL", b"admin", [Override("x-original-url", path="admin")]),
        (b"X-Original-URL", b" ", []),
        (b"X-HTTP-Method-Override", b",", []),
        (b"X-Forwarded-Host", b"h.test", []),
        (b"", b"", []),
    ],
)
def test_a_field_is_read_as_servers_read_it(
    name: bytes, value: bytes, expected: list[Override]
) -> None:
    assert overrides([(b"accept", b"*/*"), (name, value)]) == tuple(expected)


def test_what_is_said_twice_is_one() -> None:
    said = (b"X-HTTP-Method", b"PUT")
    assert overrides([said, said]) == (Override("x-http-method", "PUT"),)


def test_more_than_can_be_judged_is_a_finding() -> None:
    fields = [(b"X-Original-URL", b"/%d" % number) for number in range(1000)]
    assert not too_many(overrides(fields[:4]))
    found = overrides(fields)
    assert len(found) == 5
    (finding,) = too_many(found)
    assert finding.kind == "protocol-mismatch"
    assert (
        finding.evidence == "headers ask for more than 4 other methods or paths than the request's"
    )
