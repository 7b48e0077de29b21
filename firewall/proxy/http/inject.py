"""Secrets put into allowed requests, just before they are sent."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from mitmproxy import http

from firewall.credentials import Injection
from firewall.held import Held
from firewall.protocols.codings import readable
from firewall.proxy.http import sigv4
from firewall.proxy.http.flow import Signing
from firewall.requests import Finding
from firewall.vault import Vault

_BASIC = "basic "


def inject(request: http.Request, injections: Iterable[Injection], vault: Vault) -> Signing | None:
    """Set what the rules of an allowed request say; what signs it later, if anything does.

    Whatever the client has put there is overwritten, so that it cannot speak in another's name.
    """
    _ask_for_readable(request)
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


def _ask_for_readable(request: http.Request) -> None:
    """Let the answer come in no coding in which a secret would not be found."""
    values = request.headers.get_all("accept-encoding")
    asked = [each for value in values for each in value.split(",")]
    kept = [each for each in asked if readable(each.partition(";")[0])]
    if kept != asked:
        request.headers["accept-encoding"] = ",".join(kept) or "identity"


def _set_header(request: http.Request, injection: Injection, held: Held) -> None:
    """The placeholder is replaced where the client has put it; else the header is made."""
    made = f"{injection.scheme} {held.value}".strip()
    filled = (_filled(each, held) for each in _taken_out(request, injection.name))
    request.headers[injection.name] = next((each for each in filled if each), made)


def _taken_out(request: http.Request, name: str) -> list[str]:
    """The values of a header, which the request loses, in every spelling that may be taken for it:
    CGI (RFC 3875, 4.1.18) and what came of it do not tell dashes from underscores."""
    fields = request.headers.fields
    same = [each for each in fields if _alike(each[0]) == _alike(name.encode())]
    request.headers.fields = tuple(each for each in fields if each not in same)
    return [value.decode("utf-8", "surrogateescape") for _, value in same]


def _alike(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


def _filled(written: str, held: Held) -> str:
    """A header with the secret in the placeholder's place; "" where that is not in it."""
    if held.placeholder in written:
        return written.replace(held.placeholder, held.value)
    plain = _plain(written)
    filled = plain.replace(held.placeholder, held.value)
    return _basic(filled) if filled != plain else ""


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
    groups = (each.split(";") for each in query.split("&"))  # which some servers take for & as well
    others = ([each for each in group if _name(each) != name] for group in groups)
    pairs = [";".join(group) for group in others if any(group)]
    pairs.append(f"{name}={quote(value, safe='')}")
    request.path = f"{path}?{'&'.join(pairs)}"


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


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
