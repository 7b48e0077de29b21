"""What a rule may say about credentials that its requests carry and the agent never holds."""

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from firewall.credentials import Injection, Place, Secret
from firewall.policy.errors import Fault
from firewall.policy.strict import Strict

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, 5.6.2: what header names are made of."""
_FRAMING = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer",
    "expect", "content-encoding", "keep-alive", "proxy-connection",
})  # fmt: skip
_LOOKS = re.compile(r"[A-Za-z0-9._-]{1,24}")
_PLAIN = re.compile(r"[!-~]{1,128}")
_EXAMPLE = "env:NAME, file:/PATH or command:PROGRAM ARGUMENTS"
_PLACES: tuple[Place, ...] = ("header", "query", "basic", "aws")

AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""What the SDKs read. Placeholders stand in them, in this order."""


def _source(text: str) -> str:
    kind, _, place = text.partition(":")
    if kind == "env" and _VARIABLE.fullmatch(place):
        return text
    if kind == "file" and place.startswith(("/", "~/")):
        return text
    if kind == "command" and command_words(place):
        return text
    if kind == "file" and place:
        raise Fault(f"{text!r} is no path from the root or from ~", f"file:/run/secrets/{place}")
    # What stands here may be the secret itself, which no error repeats.
    raise Fault("this does not say where a secret is found", _EXAMPLE)


def command_words(text: str) -> list[str]:
    """The program and arguments of a command. Raises Fault."""
    try:
        return shlex.split(text)
    except ValueError:
        raise Fault("the command has an open quote", 'command:pass show "a b"') from None


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise Fault(f"{text!r} is not a variable's name", "a name such as OPENAI_API_KEY")
    return text


def _header(text: str) -> str:
    if not _FIELD.fullmatch(text):
        raise Fault(f"{text!r} is not a header's name", "a name such as x-api-key")
    if text.lower() in _FRAMING:
        raise Fault(f"the header {text} says how a message is read", "a header such as x-api-key")
    return text


def _looks(text: str) -> str:
    if not _LOOKS.fullmatch(text):
        raise Fault(f"{text!r} cannot begin a key", "letters, digits, - and _, such as sk-proj-")
    return text


def _plain(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise Fault(f"{text!r} is not one plain word", "letters, digits and signs, without spaces")
    return text


def _user(text: str) -> str:
    if ":" in _plain(text):
        raise Fault(f"{text!r} has a colon, which ends a user's name", "the user's name alone")
    return text


SourceText = Annotated[str, AfterValidator(_source)]
VariableText = Annotated[str, AfterValidator(_variable)]
HeaderText = Annotated[str, AfterValidator(_header)]
LooksText = Annotated[str, AfterValidator(_looks)]
PlainText = Annotated[str, AfterValidator(_plain)]
UserText = Annotated[str, AfterValidator(_user)]


class AwsDocument(Strict):
    """The keys that sign requests to AWS, and to what speaks like it (Signature Version 4)."""

    access_key: SourceText = Field(alias="access-key")
    secret_key: SourceText = Field(alias="secret-key")
    session_token: SourceText | None = Field(default=None, alias="session-token")


class InjectDocument(Strict):
    """A credential that the rule's requests carry: a header, a query parameter, the password of a
    user in Basic authentication, or a signature of AWS.

    `from` is where the firewall finds the secret, `env` the variable in which the agent finds a
    placeholder for it, which begins as `looks-like` says. Not written, it is that of `env:NAME`.
    """

    header: HeaderText | None = None
    scheme: PlainText | None = Field(default=None, description="What stands before it: Bearer.")
    query: PlainText | None = None
    basic: UserText | None = Field(default=None, description="The user whose password it is.")
    aws: AwsDocument | None = None
    source: SourceText | None = Field(default=None, alias="from")
    env: VariableText | None = None
    looks_like: LooksText | None = Field(default=None, alias="looks-like")


def _several(value: Any) -> Any:
    return [value] if isinstance(value, dict | InjectDocument) else value


Injects = Annotated[list[InjectDocument], Field(min_length=1), BeforeValidator(_several)]
"""One or several."""

type Found = tuple[tuple[int | str, ...], Fault]
"""A fault, and where in the rule it stands."""


def injection(written: InjectDocument, where: str) -> Injection:
    """What an entry of `inject` means, once it has been checked; `where` it stands."""
    if written.aws is not None:
        return Injection("aws", tuple(_keys(written.aws, where)))
    place: Place = next(each for each in _PLACES if getattr(written, each) is not None)
    source = written.source or ""
    kind, _, name = source.partition(":")
    variable = written.env or (name if kind == "env" else "")
    secret = Secret(source, variable, written.looks_like or "", where)
    return Injection(place, (secret,), getattr(written, place), written.scheme or "")


def _keys(written: AwsDocument, where: str) -> Iterator[Secret]:
    sources = (written.access_key, written.secret_key, written.session_token)
    for source, variable, begins in zip(sources, AWS_VARIABLES, ("AKIA", "", ""), strict=True):
        if source is not None:
            yield Secret(source, variable, begins, where)


def check_inject(
    name: str, kind: str, tls: str | None, written: list[InjectDocument]
) -> Iterator[Found]:
    """Every fault of what the rule of this name injects; `kind` is what it allows."""
    if kind not in ("https", "http"):
        what = f"inject needs HTTP that the firewall reads, and rule {name} is not an allow of that"
        write = "allow: https, or allow: http where the secret may travel in plain text"
        yield ("inject",), Fault(what, write)
    elif tls == "passthrough":
        what = "with tls: passthrough nobody reads the requests, so nothing can be put into them"
        yield ("tls",), Fault(what, "tls: inspect, or no inject")
    for position, each in enumerate(written):
        yield from ((("inject", position), fault) for fault in _faults(each))


def check_same(written: Iterable[tuple[Injection, str]]) -> Iterator[tuple[int, Fault]]:
    """The faults of variables that mean different secrets in two rules, and whose they are: each
    injection comes with its rule's name."""
    known: dict[str, tuple[Secret, str]] = {}
    for position, (each, rule) in enumerate(written):
        for secret in each.secrets:
            first, other = known.setdefault(secret.name, (secret, rule))
            if (first.source, first.looks_like) != (secret.source, secret.looks_like):
                what = f"{secret.name} is the placeholder of another secret in rule {other}"
                yield position, Fault(what, "env: with another name, or the same from and looks")


def _faults(written: InjectDocument) -> Iterator[Fault]:
    places = [key for key in _PLACES if getattr(written, key) is not None]
    if len(places) > 1:
        yield Fault(f"{' and '.join(places)}: a secret is set in one place", "two entries")
    elif not places:
        yield Fault("inject does not say where the secret is set", "header: x-api-key, for example")
    elif written.aws is None and written.source is None:
        yield Fault("inject does not say where the secret is found", f"from: {_EXAMPLE}")
    elif written.aws is not None and (written.source or written.env or written.looks_like):
        what = "aws has its own sources, and variables that its clients know"
        yield Fault(what, "access-key and secret-key below aws, and neither from nor env")
    if written.scheme is not None and written.header is None:
        yield Fault("a scheme stands in a header", "header: Authorization beside it")
    if written.looks_like is not None and not (written.env or _is_variable(written.source)):
        yield Fault("looks-like is for a placeholder, and the agent has none", "env: NAME")


def _is_variable(source: str | None) -> bool:
    return (source or "").startswith("env:")
