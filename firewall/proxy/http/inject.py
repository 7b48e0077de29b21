"""Secrets put into allowed requests, just before they are sent."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from mitmproxy import http

from firewall.credentials import Injection
from firewall.proxy.http import sigv4
from firewall.proxy.http.flow import Signing
from firewall.requests import Finding
from firewall.vault import Held, Vault

_BASIC = "basic "


def inject(request: http.Request, injections: Iterable[Injection], vault: Vault) -> Signing | None:
    """Set what the rules of an allowed request say; what signs it later, if anything does.

    Whatever the client has put there is overwritten, so that it cannot speak in another's name.
    """
    signing = None
    for each in injections:
        held = tuple(vault[secret.name] for secret in each.secrets)
        if each.place == "header":
            _set_header(request, each, held[0])
        elif each.place == "query":
            _set_query(request, each.name, held[0].value)
        elif each.place == "basic":
            request.headers["authorization"] = _basic(f"{each.name}:{held[0].value}")
        else:
            signing = AwsSigning(request, held)
    return signing


def _set_header(request: http.Request, injection: Injection, held: Held) -> None:
    """The placeholder is replaced where the client has put it; else the header is made."""
    written = str(request.headers.get(injection.name, ""))
    if held.placeholder in written:
        value = written.replace(held.placeholder, held.value)
    elif held.placeholder in (plain := _plain(written)):
        value = _basic(plain.replace(held.placeholder, held.value))
    else:
        value = f"{injection.scheme} {held.value}".strip()
    request.headers[injection.name] = value


def _basic(text: str) -> str:
    """RFC 7617, 2."""
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _plain(value: str) -> str:
    """The user and password of Basic authentication; "" of anything else."""
    if not value.lower().startswith(_BASIC):
        return ""
    try:
        return base64.b64decode(value[len(_BASIC) :].strip(), validate=True).decode("latin-1")
    except binascii.Error:
        return ""


def _set_query(request: http.Request, name: str, value: str) -> None:
    """The parameter stands once, whatever the client has sent; all others stay as they are."""
    path, _, query = request.path.partition("?")
    pairs = [each for each in query.split("&") if each and each.partition("=")[0] != name]
    pairs.append(f"{name}={quote(value, safe='')}")
    request.path = f"{path}?{'&'.join(pairs)}"


@dataclass(slots=True)
class AwsSigning:
    """Signs a request with the real keys where the client has signed it with the placeholders."""

    request: http.Request
    held: tuple[Held, ...]

    @property
    def needs_body(self) -> bool:
        """Whether the signature covers a body whose hash is not stated."""
        return sigv4.CONTENT not in self.request.headers

    def sign(self, body: bytes) -> tuple[Finding, ...]:
        """Set the new signature; what is wrong with the client's, in which case none is set."""
        placeholders = sigv4.Keys(*(each.placeholder for each in self.held))
        keys = sigv4.Keys(*(each.value for each in self.held))
        try:
            headers = sigv4.resign(self._message(), body, placeholders, keys)
        except sigv4.UnsignableError as error:
            return (unsignable(str(error)),)
        for name, value in headers.items():
            self.request.headers[name] = value
        return ()

    def _message(self) -> sigv4.Message:
        request = self.request
        path, _, query = request.path.partition("?")
        raw = request.headers.fields
        fields = [(name.decode().lower(), value.decode("latin-1")) for name, value in raw]
        named = [] if "host" in request.headers else [("host", request.host_header or "")]
        method = request.data.method.decode("ascii")
        return sigv4.Message(method, path, query, [*fields, *named])


def unsignable(evidence: str) -> Finding:
    """Only likely to be meant: clients sign in ways that are not known here, too."""
    return Finding("protocol-mismatch", "aws-signature", evidence, "request head", "likely")
