"""The secrets in hand: read from where the policy says, and looked for wherever they must not be.

The agent knows each by a placeholder, which is made once and is worth nothing. The values stay in
the processes that judge: no record, error or log shows one, as the judge's redactor knows them all.
"""

import os
import secrets as random
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from firewall.credentials import Secret
from firewall.policy import Policy
from firewall.policy.errors import PolicyError, Problem
from firewall.protocols.needles import SHORTEST, Needles, Search
from firewall.redaction import Terms
from firewall.requests import (
    Carried,
    Connect,
    Direction,
    Finding,
    HttpRequest,
    Message,
    Request,
    Resolve,
    SshChannel,
)
from firewall.verdict import Action, Severity, Verdict

COMMAND_SECONDS = 10.0
LONGEST = 8 << 10
"""Bytes of a secret."""

NOT_HERE = "only firewall run and firewall serve hold secrets"
"""Why a judge of others, such as a node's or mitmproxy's, has none."""

type Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Held:
    """A secret, its placeholder, and its value; or `why` there is none, in words for people."""

    secret: Secret
    placeholder: str
    value: str = field(default="", repr=False)
    why: str = "it was not read yet"


class Vault:
    """Every secret of a policy. It never changes: reading makes another one."""

    def __init__(self, held: Iterable[Held] = ()) -> None:
        self._held = {each.secret.name: each for each in held}

    @classmethod
    def of(cls, secrets: Iterable[Secret]) -> "Vault":
        """A vault of what a policy names, still unread."""
        return cls(Held(each, _placeholder(each)) for each in secrets)

    def read(self) -> "Vault":
        """The vault with every secret that can be read now. Blocks while commands run."""
        return Vault(_read(each) for each in self._held.values())

    def renewed(self, secrets: Iterable[Secret]) -> "Vault":
        """A vault of what the policy names now, read anew, with the same placeholders.

        No command runs again: an agent may have put a program of its own in its place.
        """
        return Vault(map(self._renew, secrets))

    def _renew(self, secret: Secret) -> Held:
        before = self._held.get(secret.name)
        now = Held(secret, before.placeholder if before else _placeholder(secret))
        if not secret.source.startswith("command:"):
            return _read(now)
        if before is not None and before.secret.source == secret.source:
            return replace(before, secret=secret)
        return replace(now, why="no command runs once the agent does; start the firewall anew")

    def must_be_whole(self) -> None:
        """Raise PolicyError for each secret that could not be read."""
        if problems := [_problem(each) for each in self._held.values() if each.why]:
            raise PolicyError(problems)

    @property
    def troubles(self) -> tuple[str, ...]:
        """The same, as text."""
        return tuple(str(_problem(each)) for each in self._held.values() if each.why)

    @property
    def placeholders(self) -> dict[str, str]:
        """What the agent is given instead, by variable."""
        held = self._held.values()
        return {each.secret.variable: each.placeholder for each in held if each.secret.variable}

    def __getitem__(self, name: str) -> Held:
        return self._held[name]

    def honour(self, verdict: Verdict, policy: Policy) -> Verdict:
        """The verdict; a deny where it is an allow that needs a secret which could not be read."""
        if not verdict.obligations.inject:
            return verdict
        injections = policy.injections(verdict.obligations.inject)
        wanted = (secret for each in injections for secret in each.secrets)
        held = [self._held.get(each.name) or Held(each, "", why=NOT_HERE) for each in wanted]
        if not (lack := next((_problem(each) for each in held if each.why), None)):
            return verdict
        reason = f"rule {verdict.rule} needs a secret: {lack.what} ({lack.file}:{lack.line})"
        remedy = "mend it where the firewall runs, then have the policy loaded again (SIGHUP)"
        return replace(
            verdict, action=Action.DENY, severity=Severity.WARNING, reason=reason, remedy=remedy
        )

    # Between processes

    def dump(self) -> list[dict[str, Any]]:
        """The whole vault as what JSON can hold, for a process of ours alone."""
        return [asdict(each) for each in self._held.values()]

    @classmethod
    def parse(cls, dumped: Sequence[Mapping[str, Any]]) -> "Vault":
        """What `dump` made."""
        return cls(Held(**{**each, "secret": Secret(**each["secret"])}) for each in dumped)

    # What is looked for

    def redaction(self, terms: Terms) -> Terms:
        """What is never recorded: what the policy says, and every value in every form."""
        if not self._held:
            return terms
        return replace(terms, literals=self._values.texts)

    def fields(self, fields: Fields) -> tuple[Finding, ...]:
        """The values in the fields of a message's head."""
        if not self._values:
            return ()
        places = [(f"header {name.decode('latin-1').lower()}", value) for name, value in fields]
        places += [("header name", name) for name, _ in fields]  # which no finding repeats
        found = ((name, place) for place, text in places for name in self._values.find(text))
        return tuple(_itself(name, place) for name, place in dict.fromkeys(found))

    def answer(self, reason: bytes, fields: Fields) -> tuple[Finding, ...]:
        """The values in the head of an answer, whose reason phrase is anybody's choice."""
        if not self._values:
            return ()
        told = (_itself(name, "reason phrase") for name in self._values.find(reason))
        return (*told, *self.fields(fields))

    def carried(self, method: str, path: str, fields: Fields) -> tuple[Carried, ...]:
        """The placeholders in the head of a request. `path` includes the query."""
        if not self._placeholders:
            return ()
        places = [(f"header {name.decode('latin-1').lower()}", value) for name, value in fields]
        target, _, query = path.partition("?")
        places += [(f"query {each.partition('=')[0]}", each.encode()) for each in query.split("&")]
        places += [("path", target.encode()), ("method", method.encode())]
        # A name may be one as well, and is no place for it.
        odd = [("header name", name) for name, _ in fields]
        odd += [("query name", each.partition("=")[0].encode()) for each in query.split("&")]
        return tuple(
            dict.fromkeys(
                Carried(name, place)
                for place, text in (*places, *odd)
                for name in self._placeholders.find(text)
            )
        )

    def seen(self, request: Request) -> Request:
        """The request with a finding for each secret and placeholder in its text."""
        if not self._held or not (found := self._in_text(request)):
            return request
        return replace(request, findings=tuple(dict.fromkeys((*request.findings, *found))))

    def beside(self, watch: "Watcher", carrier: str, direction: Direction) -> "Watcher":
        """The watch, and with it one for secrets where there are any."""
        return _Both((watch, self.stream(carrier, direction))) if self._held else watch

    def stream(self, carrier: str, direction: Direction) -> "Lookout":
        """What follows one direction of a stream."""
        placeholders = self._placeholders if direction == "sent" else Needles({})
        return Lookout(f"{carrier}, {direction}", self._values, placeholders)

    def _in_text(self, request: Request) -> tuple[Finding, ...]:
        match request:
            case Resolve():
                return self._in_names("DNS name", request.name)
            case Connect() | Message():
                return self._in_names("host's name", request.host, getattr(request, "sni", None))
            case HttpRequest():
                found = self._values.find(f"{request.method} {request.path}".encode())
                return tuple(_itself(each, "request's target") for each in found)
            case SshChannel():
                text, where = f"{request.user}\0{request.detail}".encode(), f"SSH {request.kind}"
                own = (_itself(each, where) for each in self._values.find(text))
                return (*own, *(_stands_in(each, where) for each in self._placeholders.find(text)))
        return ()

    def _in_names(self, where: str, *names: str | None) -> tuple[Finding, ...]:
        own = (each for name in names if name for each in self._values.find_in_name(name))
        found = (each for name in names if name for each in self._placeholders.find_in_name(name))
        return (
            *(_itself(each, where) for each in own),
            *(_stands_in(each, where) for each in found),
        )

    @cached_property
    def _values(self) -> Needles:
        return Needles({name: each.value for name, each in self._held.items() if each.value})

    @cached_property
    def _placeholders(self) -> Needles:
        held = self._held.items()
        return Needles({name: each.placeholder for name, each in held if each.secret.variable})


class Watcher(Protocol):
    """What finds something in a stream."""

    def feed(self, data: bytes) -> tuple[Finding, ...]: ...


class _Both:
    """Two of them."""

    def __init__(self, watchers: tuple[Watcher, Watcher]) -> None:
        self._first, self._second = watchers

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        return self._first.feed(data) + self._second.feed(data)


class Lookout:
    """Finds secrets in one direction of a stream: what is sent may hold neither a value nor a
    placeholder, what is received no value."""

    def __init__(self, where: str, values: Needles, placeholders: Needles) -> None:
        self._where = where
        self._values = Search(values)
        self._placeholders = Search(placeholders)

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """The findings that `data` completes."""
        own = self._values.feed(data)
        found = self._placeholders.feed(data)
        if not own and not found:
            return ()
        return (
            *(_itself(each, self._where) for each in own),
            *(_stands_in(each, self._where) for each in found),
        )

    @property
    def begun(self) -> bool:
        """Whether a value may have begun, and is still to be completed."""
        return self._values.begun


def _itself(name: str, where: str) -> Finding:
    return Finding("secret", "value", f"that of {name} itself", where)


def _stands_in(name: str, where: str) -> Finding:
    return Finding("secret", "placeholder", f"that of {name}, where no rule sets it", where)


def _placeholder(secret: Secret) -> str:
    """Worth nothing, and of a form that clients take: letters, digits and what begins it."""
    if secret.looks_like == "AKIA":
        return secret.looks_like + "".join(random.choice(_BASE32) for _ in range(16))
    return f"{secret.looks_like}placeholder{random.token_hex(16)}"


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


# Reading


def _read(held: Held) -> Held:
    kind, _, place = held.secret.source.partition(":")
    try:
        value = {"env": _variable, "file": _file, "command": _command}[kind](place).strip()
        _check(value)
    except (OSError, ValueError) as error:
        return replace(held, value="", why=_reason(error))
    return replace(held, value=value, why="")


def _check(value: str) -> None:
    if len(value) < SHORTEST:
        raise ValueError(f"it has fewer than {SHORTEST} characters, which no key has")
    if not value.isprintable() or not value.isascii():
        raise ValueError("it is not one line of plain text, as keys are")


def _variable(name: str) -> str:
    if name not in os.environ:
        raise ValueError(f"the variable {name} is not set where the firewall runs")
    return os.environ[name]


def _file(place: str) -> str:
    with open(Path(place).expanduser(), "rb") as file:
        return _text(file.read(LONGEST + 1))


def _command(text: str) -> str:
    """What a command prints. Neither that nor what it says of errors is ever repeated."""
    words = shlex.split(text)
    try:
        ran = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ValueError(f"{words[0]} took more than {COMMAND_SECONDS:g} seconds") from None
    if ran.returncode:
        raise ValueError(f"{words[0]} ended with status {ran.returncode}")
    return _text(ran.stdout)


def _text(data: bytes) -> str:
    if len(data) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    return data.decode("latin-1")


def _reason(error: Exception) -> str:
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)


def _problem(held: Held) -> Problem:
    file, _, line = held.secret.where.rpartition(":")
    what = f"the secret {held.secret.source.partition(' ')[0]} cannot be read: {held.why}"
    return Problem(
        file, int(line or 0), what, "from: where the secret is, readable for the firewall"
    )
