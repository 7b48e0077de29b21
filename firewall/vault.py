"""The secrets in hand: read from where the policy says, and looked for wherever they must not be.

The agent knows each by a placeholder, which is made once and is worth nothing. The values stay in
the processes that judge: no record, error or log shows one, as the judge's redactor knows them all.
"""

import json
import os
import secrets as random
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from firewall.credentials import KEYS_ALONE, Secret, Watched
from firewall.lookout import (
    TOO_MANY,
    Fields,
    Keys,
    Known,
    Lookout,
    Seeker,
    Watcher,
    itself,
    marked,
    places,
    sent,
    stands_in,
)
from firewall.marked import NOTHING, Marked, stamps_of
from firewall.policy import Policy
from firewall.policy.errors import PolicyError, Problem
from firewall.protocols.leaks import finder
from firewall.protocols.needles import SHORTEST, Needles
from firewall.protocols.packed import Packed
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
REMEMBERED = 1024
"""Names in which secrets were looked for: one flow asks for its own several times."""

NOT_HERE = "only firewall run and firewall serve hold secrets"
"""Why a judge of others, such as a node's or mitmproxy's, has none."""


@dataclass(frozen=True, slots=True)
class Held:
    """A secret, its placeholder, and its value; or `why` there is none, in words for people.

    `earlier` is another value that it had before, which servers may know for a while; "" for none.
    """

    secret: Secret
    placeholder: str
    value: str = field(default="", repr=False)
    why: str = "it was not read yet"
    earlier: str = field(default="", repr=False)


class Vault:
    """Every secret of a policy, and what else it wants looked for. It never changes: reading makes
    another one."""

    def __init__(
        self, held: Iterable[Held] = (), watched: Watched = KEYS_ALONE, marked: Marked = NOTHING
    ) -> None:
        self._held = {each.secret.name: each for each in held}
        self._watched = watched
        self._marked = marked
        self._in_names = lru_cache(REMEMBERED)(self._find_in_names)

    @classmethod
    def of(cls, secrets: Iterable[Secret], watched: Watched = KEYS_ALONE) -> "Vault":
        """A vault of what a policy names, still unread."""
        return cls((Held(each, _placeholder(each)) for each in secrets), watched)

    def read(self) -> "Vault":
        """The vault with every secret that can be read now. Blocks while commands run."""
        held = (_read(each) for each in self._held.values())
        return Vault(held, self._watched, self._marked.read(self._watched.files))

    def renewed(self, secrets: Iterable[Secret], watched: Watched = KEYS_ALONE) -> "Vault":
        """A vault of what the policy names now, read anew, with the same placeholders.

        No command runs again: an agent may have put a program of its own in its place.
        """
        return Vault(map(self._renew, secrets), watched, self._marked.read(watched.files))

    def looked_again(self) -> "Vault":
        """This vault, or where a marked file has changed one that knows its texts as well."""
        if tuple(stamps_of(self._watched.files)) == self._marked.stamps:
            return self
        again = self._marked.read(self._watched.files)
        return Vault(self._held.values(), self._watched, again)

    def _renew(self, secret: Secret) -> Held:
        before = self._held.get(secret.name)
        now = Held(secret, before.placeholder if before else _placeholder(secret))
        if not secret.source.startswith("command:"):
            return _after(before, _read(now))
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
    def unmarked(self) -> tuple[str, ...]:
        """What of the marked files is not looked for, and why."""
        return self._marked.troubles

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

    def dump(self) -> dict[str, Any]:
        """The whole vault as what JSON can hold, for a process of ours alone."""
        held = [asdict(each) for each in self._held.values()]
        watched, marked = asdict(self._watched), asdict(self._marked)
        dumped: dict[str, Any] = json.loads(
            json.dumps({"held": held, "watched": watched, "marked": marked})
        )
        return dumped

    @classmethod
    def parse(cls, dumped: Mapping[str, Any]) -> "Vault":
        """What `dump` made; of nothing, a vault that holds nothing."""
        if not dumped:
            return cls()
        held = (Held(**{**each, "secret": Secret(**each["secret"])}) for each in dumped["held"])
        watched, marked = dumped["watched"], dumped["marked"]
        homes = {name: tuple(each) for name, each in watched["homes"].items()}
        stamps = tuple((each[0], each[1], each[2], each[3]) for each in marked["stamps"])
        return cls(
            held,
            Watched(tuple(watched["files"]), tuple(watched["formats"]), homes),
            Marked(marked["texts"], marked["first"], stamps, tuple(marked["troubles"])),
        )

    # What is looked for

    def redaction(self, terms: Terms) -> Terms:
        """What is never recorded: what the policy says, and every known value in every form.

        Of marked files these are the values from before the agent ran: it must not be able to have
        what it likes taken out of the records."""
        return replace(terms, literals=self._literals) if self._literals else terms

    def fields(self, fields: Fields) -> tuple[Finding, ...]:
        """The values in the fields of a message's head."""
        if not self._values:
            return ()
        texts = [(f"header {name.decode('latin-1').lower()}", value) for name, value in fields]
        texts += [("header name", name) for name, _ in fields]  # which no finding repeats
        found = (each for place, text in texts for each in self._values.find(text, place))
        return tuple(dict.fromkeys(found))

    def answer(self, reason: bytes, fields: Fields) -> tuple[Finding, ...]:
        """The values in the head of an answer, whose reason phrase is anybody's choice."""
        if not self._values:
            return ()
        return (*self._values.find(reason, "reason phrase"), *self.fields(fields))

    def carried(self, method: str, path: str, fields: Fields) -> tuple[Carried, ...]:
        """The placeholders in the head of a request. `path` includes the query."""
        if not self._placeholders:
            return ()
        # A name may be one as well, and is no place for it.
        odd = [("header name", name) for name, _ in fields] + [("method", sent(method))]
        query = path.partition("?")[2]
        odd += [("query name", sent(each.partition("=")[0])) for each in query.split("&")]
        return tuple(
            dict.fromkeys(
                Carried(name, place)
                for place, text in (*places(path, fields), *odd)
                for name in self._placeholders.needles.find(text)
            )
        )

    def leaving(self, host: str, path: str, fields: Fields) -> tuple[Finding, ...]:
        """What the head of a request to `host` gives away ("" where no key is at home): texts of
        marked files, and keys anywhere but at home. `path` includes the query."""
        texts = [each for place, text in places(path, fields) for each in (sent(place), text)]
        whole = self._given_away(b"\n".join(texts), "request head", "")
        if not whole or whole[-1].name == TOO_MANY:
            return tuple(whole[-1:])
        found: list[Finding] = []
        for place, text in places(path, fields):
            kind = place.partition(" ")[0]
            named = self._given_away(sent(place), f"{kind} name", "")
            # Not also what stands there, whose finding would tell the name.
            found += named or self._given_away(text, place, host)
        return tuple(dict.fromkeys(found))

    def _given_away(self, text: bytes, place: str, host: str) -> list[Finding]:
        return [*self._files.find(text, place), *self._keys.find_abroad(text, place, host)]

    def seen(self, request: Request) -> Request:
        """The request with a finding for each secret and placeholder in its text."""
        if not (found := self._in_text(request)):
            return request
        return replace(request, findings=tuple(dict.fromkeys((*request.findings, *found))))

    def beside(self, watch: Watcher, carrier: str, direction: Direction) -> Watcher:
        """The watch, and with it one for secrets where there are any."""
        return Lookout((watch, *self._watches(carrier, direction)))

    def stream(self, carrier: str, direction: Direction) -> Lookout:
        """What follows one direction of a stream: what is sent may hold nothing that is secret,
        what is received no value that the firewall holds."""
        return Lookout(self._watches(carrier, direction))

    def _watches(self, carrier: str, direction: Direction) -> list[Watcher]:
        """Of what is received files of gzip are not unpacked: a server that tells secrets does so
        by an echo."""
        where = f"{carrier}, {direction}"
        if direction == "received":
            return [self._values.stream(where)] if self._values else []
        seekers = self._seekers

        def unpacked() -> Lookout:
            return Lookout(each.stream(f"{where}, in gzip") for each in seekers)

        own = [each.stream(where) for each in seekers]
        return [*own, Packed(unpacked)] if seekers else []

    def _in_text(self, request: Request) -> Sequence[Finding]:
        match request:
            case Resolve():
                return self._in_names("DNS name", request.name)
            case Connect() | Message():
                return self._in_names("host's name", request.host, getattr(request, "sni", None))
            case HttpRequest():
                text = sent(f"{request.method} {request.path}")
                return self._values.find(text, "request's target")
            case SshChannel():
                text = f"{request.user}\0{request.detail}".encode()
                where = f"SSH {request.kind}"
                return [finding for each in self._seekers for finding in each.find(text, where)]
        return ()

    def _find_in_names(self, where: str, *names: str | None) -> tuple[Finding, ...]:
        pairs = [(each, name) for name in names if name for each in self._seekers]
        return tuple(finding for each, name in pairs for finding in each.find_in_name(name, where))

    @cached_property
    def _seekers(self) -> tuple[Seeker, ...]:
        every = (self._values, self._placeholders, self._files, self._keys)
        return tuple(each for each in every if each)

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        return (*self._values.needles.texts, *Needles(self._marked.first).texts)

    @cached_property
    def _values(self) -> Known:
        held = self._held.items()
        values = {name: each.value for name, each in held if each.value}
        earlier = {f"{name}, as it was,": each.earlier for name, each in held if each.earlier}
        return Known(values | earlier, itself)

    @cached_property
    def _placeholders(self) -> Known:
        held = self._held.items()
        texts = {name: each.placeholder for name, each in held if each.secret.variable}
        return Known(texts, stands_in)

    @cached_property
    def _files(self) -> Known:
        return Known(self._marked.texts, marked)

    @cached_property
    def _keys(self) -> Keys:
        return Keys(finder(self._watched.formats), self._watched.homes)


def _placeholder(secret: Secret) -> str:
    """Worth nothing, and of a form that clients take: letters, digits and what begins it."""
    if secret.looks_like == "AKIA":
        return secret.looks_like + "".join(random.choice(_BASE32) for _ in range(16))
    return f"{secret.looks_like}placeholder{random.token_hex(16)}"


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


# Reading


def _after(before: Held | None, now: Held) -> Held:
    """A secret that was read again, which remembers the last value that was another."""
    values = (before.value, before.earlier) if before else ()
    return replace(now, earlier=next((each for each in values if each not in ("", now.value)), ""))


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
    remedy = "from: where the secret is, readable for the firewall"
    return Problem(file, int(line or 0), what, remedy)
