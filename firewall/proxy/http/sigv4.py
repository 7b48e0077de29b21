"""Signature Version 4 of AWS: a request that was signed with placeholders, signed anew.

The client's own signature is checked first, with the placeholder that it was made with. So only
what the agent's client has signed is signed again, and in the one reading of its path and query
that the client had itself: services differ in how these are encoded. After the guide "Create a
signed AWS API request" (docs.aws.amazon.com) and botocore/auth.py, SigV4Auth.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from itertools import product
from posixpath import normpath
from urllib.parse import quote, unquote

from firewall.frozen import frozen

ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT = "x-amz-content-sha256"
TOKEN = "x-amz-security-token"  # noqa: S105, the name of a header
DATE = "x-amz-date"
IN_CHUNKS = "STREAMING-AWS4-"
"""Begins what stands for a body whose chunks are signed one by one."""

_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=([^/,\s]+)/([0-9]{8}/[^/,\s]+/[^/,\s]+/aws4_request)\s*,"
    r"\s*SignedHeaders=([a-z0-9;_-]+)\s*,\s*Signature=([0-9a-f]{64})"
)
_UNRESERVED = "-_.~"


class UnsignableError(ValueError):
    """Why a request cannot be signed anew, in words for people."""


@frozen
class Keys:
    """An access key, its secret key, and the token of a session ("" without one)."""

    access_key: str
    secret_key: str
    token: str = ""


@frozen
class Message:
    """A request as it is signed. `fields` are its headers in lower case, `host` among them."""

    method: str
    path: str
    query: str
    fields: Sequence[tuple[str, str]]

    def value(self, name: str) -> str:
        """A header's value as it is signed: without spaces at its ends, with single ones inside."""
        return ",".join(" ".join(value.split()) for field, value in self.fields if field == name)


def resign(message: Message, body: bytes, placeholders: Keys, keys: Keys) -> dict[str, str]:
    """The headers to set so that `keys` sign what `placeholders` have signed.

    `body` matters only where the request does not state its hash. Raises UnsignableError.
    """
    written = _AUTHORIZATION.fullmatch(message.value("authorization").strip())
    if written is None:
        raise UnsignableError(f"the request is not signed as {ALGORITHM} does it")
    access_key, scope, signed, signature = written.groups()
    if access_key != placeholders.access_key:
        raise UnsignableError("the request is signed with another access key than the placeholder")
    content = message.value(CONTENT) or hashlib.sha256(body).hexdigest()
    if content.startswith(IN_CHUNKS):
        raise UnsignableError(
            "each chunk of the body is signed; have the client sign it as a whole"
        )
    for path, query in _readings(message):
        text = _canonical(message, path, query, signed.split(";"), content)
        made = _signature(text, message.value(DATE), scope, placeholders.secret_key)
        if hmac.compare_digest(made, signature):
            return _signed_by(keys, message, (path, query), scope, signed.split(";"), content)
    raise UnsignableError("the signature is not that of the placeholders over this request")


def _signed_by(
    keys: Keys,
    message: Message,
    reading: tuple[str, str],
    scope: str,
    signed: list[str],
    content: str,
) -> dict[str, str]:
    headers = {TOKEN: keys.token} if keys.token else {}
    fields = [field for field in message.fields if field[0] not in headers]
    sent = Message(message.method, message.path, message.query, [*fields, *headers.items()])
    names = sorted({*signed, *headers})
    text = _canonical(sent, *reading, names, content)
    signature = _signature(text, message.value(DATE), scope, keys.secret_key)
    headers["authorization"] = (
        f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={signature}"
    )
    return headers


def _canonical(message: Message, path: str, query: str, signed: Sequence[str], content: str) -> str:
    fields = "".join(f"{name}:{message.value(name)}\n" for name in signed)
    return "\n".join((message.method, path, query, fields, ";".join(signed), content))


def _signature(canonical: str, date: str, scope: str, secret_key: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{scope}\n{digest}"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _readings(message: Message) -> Iterator[tuple[str, str]]:
    """How the client may have written path and query when it signed them."""
    path = message.path or "/"
    folded = normpath(path).replace("//", "/")
    folded += "/" if path.endswith("/") and folded != "/" else ""
    paths = (path, *(quote(each, safe="/" + _UNRESERVED) for each in (path, folded, unquote(path))))
    pairs = [each.partition("=")[::2] for each in message.query.split("&") if each]
    encoded = [(_encoded(name), _encoded(value)) for name, value in pairs]
    queries = (
        "&".join(f"{name}={value}" for name, value in sorted(each)) for each in (pairs, encoded)
    )
    yield from dict.fromkeys(product(paths, queries))


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=_UNRESERVED)
