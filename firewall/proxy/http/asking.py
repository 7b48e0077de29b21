"""What the policy judges of an HTTP request, however its head was read."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from firewall.frozen import frozen
from firewall.protocols import inspect_request
from firewall.proxy.http.overrides import overrides, too_many
from firewall.requests import HttpRequest
from firewall.vault import Vault

_PORT = re.compile(r":([0-9]{0,9})")


@frozen
class Head:
    """A request's head. `stated` are the authorities that it names: Host, :authority, its URL."""

    method: str
    scheme: Literal["http", "https"]
    path: str
    version: str
    fields: Sequence[tuple[bytes, bytes]]
    stated: Sequence[str]
    upgrade: str | None = None


def ask(head: Head, host: str, port: int, sni: str | None, vault: Vault) -> HttpRequest:
    """What a request asks for on a flow to `host`:`port` whose TLS handshake named `sni`.

    `vault` knows the secrets that may be in it.
    """
    others = overrides(head.fields)
    return HttpRequest(
        method=head.method,
        scheme=head.scheme,
        host=host,
        port=port,
        path=head.path,
        authority=_authority(head, host),
        sni=canonical(sni) if sni else None,
        version=head.version,
        upgrade=head.upgrade,
        findings=(
            *inspect_request(head.method, head.path, head.fields),
            *too_many(others),
            *vault.fields(head.fields),
            *vault.leaving(host if head.scheme == "https" else "", head.path, head.fields),
        ),
        authority_port=_authority_port(head, port),
        carries=vault.carried(head.method, head.path, head.fields),
        copies=_copies(head.fields),
        overrides=others,
    )


def _copies(fields: Sequence[tuple[bytes, bytes]]) -> str:
    """x-amz-copy-source (Amazon S3 API Reference, CopyObject), or another store's of that kind; of
    several, "?", which is no source."""
    found = [value for name, value in fields if name.lower().endswith(b"-copy-source")]
    return found[0].decode("latin-1") if len(found) == 1 else "?" * bool(found)


def canonical(host: str) -> str:
    """A host as the policy writes it: lower case, no final dot."""
    return host.lower().removesuffix(".")


def name_of(authority: str) -> str:
    """The host of a Host header or :authority, without port and brackets."""
    return _split(authority)[0]


def port_of(authority: str) -> int | None:
    """The port of a Host header or :authority; None where there is none."""
    port = _split(authority)[1]
    return int(port) if port else None


@lru_cache(maxsize=1024)
def _split(authority: str) -> tuple[str, str]:
    """Remembered, because the requests of a connection name the same one."""
    name = authority.strip(" \t").lower()
    if name.startswith("["):
        host, _, rest = name[1:].partition("]")
        found = _PORT.fullmatch(rest)
        return host, found[1] if found else ""
    host, colon, port = name.rpartition(":")
    if colon and ":" not in host and _PORT.fullmatch(f":{port}"):
        return canonical(host), port
    return canonical(name), ""


def _authority(head: Head, host: str) -> str:
    """The name the request itself states; of several, one that differs from the destination.

    HTTP/1.0 knows no Host header (RFC 1945, 10): without one, the connection says who is meant.
    """
    names = [name_of(each) for each in head.stated]
    odd = [each for each in names if each != host]
    silent = not names and head.version != "HTTP/1.0"
    return odd[0] if odd else ("" if silent else host)


def _authority_port(head: Head, port: int) -> int | None:
    """The port the request itself states; of several, one that differs from the destination."""
    ports = [each for each in map(port_of, head.stated) if each is not None]
    odd = [each for each in ports if each != port]
    return odd[0] if odd else (port if ports else None)
