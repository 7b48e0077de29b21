"""Headers by which a request asks a server to take another method or path than its line says.

Methods: X-HTTP-Method-Override (Google's APIs), X-HTTP-Method (OData, Microsoft), X-Method-Override
(IBM), which Express's method-override, Symfony, Rails and others heed. Paths: X-Original-URL and
X-Rewrite-URL, which rewriting modules of IIS set and frameworks took for the truth (Symfony until
CVE-2018-14773, Zend until ZF2018-01). Destination is the second path of WebDAV's COPY and MOVE (RFC
4918, 10.3): what they write there.
"""

import re
from collections.abc import Iterator, Sequence

from firewall.requests import Finding, Override

_METHODS = {b"x-http-method-override", b"x-http-method", b"x-method-override"}
_PATHS = {b"x-original-url", b"x-rewrite-url", b"destination"}
_SIGN = re.compile(rb"[^0-9a-z]")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_LIMIT = 4
"""Overrides of one request that are judged, each beside the others; honest clients send one."""


def overrides(fields: Sequence[tuple[bytes, bytes]]) -> tuple[Override, ...]:
    """What a head's fields ask to be read instead of its line, at most one more than the limit."""
    return tuple(dict.fromkeys(_found(fields)))[: _LIMIT + 1]


def too_many(found: Sequence[Override]) -> tuple[Finding, ...]:
    """A finding where a request may be read in so many ways that nobody could tell which."""
    if len(found) <= _LIMIT:
        return ()
    evidence = f"headers ask for more than {_LIMIT} other methods or paths than the request's"
    return (Finding("protocol-mismatch", "http", evidence, "request head"),)


def _found(fields: Sequence[tuple[bytes, bytes]]) -> Iterator[Override]:
    """A gateway interface takes - and _ in names for the same (RFC 3875, 4.1.18); lighttpd's, every
    sign."""
    for name, value in fields:
        if name[:1] not in b"xXdD":
            continue
        plain = _SIGN.sub(b"-", name.lower())
        if plain in _METHODS:
            yield from _methods(plain.decode(), value.decode("latin-1"))
        elif plain in _PATHS:
            yield from _path(plain.decode(), value.decode("latin-1"))


def _methods(name: str, value: str) -> Iterator[Override]:
    """Of a list, as which several such fields are joined, servers take one; in upper case."""
    for each in value.split(","):
        if method := each.strip().upper():
            yield Override(name, method=method)


def _path(name: str, value: str) -> Iterator[Override]:
    """Without scheme and host where it is a whole URL: they change nothing about who is asked."""
    whole = value.strip()
    if whole:
        path = _HOST.sub("", whole, count=1) or "/"
        yield Override(name, path=path if path[0] != "?" else f"/{path}")
