"""The secrets in hand: read from where the policy says, and looked for wherever they must not be.

The agent knows each by a placeholder, which is made once and is worth nothing. The values stay in
the processes that judge: no record, error or log shows one, as the judge's redactor knows them all.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from typing import Any

from firewall.credentials import KEYS_ALONE, Secret, Watched
from firewall.held import Held, after, placeholder, problem, read
from firewall.lookout import (
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
    whole,
)
from firewall.marked import NOTHING, Marked, stamps_of
from firewall.policy import Policy
from firewall.policy.errors import PolicyError
from firewall.protocols.leaks import finder
from firewall.protocols.needles import Needles
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

REMEMBERED = 1024
"""Names in which secrets were looked for: one flow asks for its own several times."""

NOT_HERE = "only firewall run and firewall serve hold secrets"
"""Why a judge of others, such as a node's or mitmproxy's, has none."""


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
        return cls((Held(each, placeholder(each)) for each in secrets), watched)

    def read(self) -> "Vault":
        """The vault with every secret that can be read now. Blocks while commands run."""
        held = (read(each) for each in self._held.values())
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
        now = Held(secret, before.placeholder if before else placeholder(secret))
        if not secret.source.startswith("command:"):
            return after(before, read(now))
        if before is not None and before.secret.source == secret.source:
            return replace(before, secret=secret)
        return replace(now, why="no command runs once the agent does; start the firewall anew")

    def must_be_whole(self) -> None:
        """Raise PolicyError for each secret that could not be read."""
        if problems := [problem(each) for each in self._held.values() if each.why]:
            raise PolicyError(problems)

    @property
    def troubles(self) -> tuple[str, ...]:
        """The same, as text."""
        return tuple(str(problem(each)) for each in self._held.values() if each.why)

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
        if not (lack := next((problem(each) for each in held if each.why), None)):
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
        if not self._given_away(whole(path, fields), "", ""):
            return ()
        found: list[Finding] = []
        for place, text in places(path, fields):
            kind = place.partition(" ")[0]
            if named := self._given_away(sent(place), f"{kind} name", ""):
                found += named  # and not what stands there, whose finding would tell the name
            else:
                found += self._given_away(text, place, host)
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

        def unpacked() -> Callable[[bytes], tuple[Finding, ...]]:
            return Lookout(each.stream(f"{where}, in gzip") for each in seekers).feed

        own = [each.stream(where) for each in seekers]
        return [*own, Packed(unpacked)] if seekers else []

    def _in_text(self, request: Request) -> Sequence[Finding]:
        match request:
            case Resolve():
                return self._in_names("DNS name", request.name)
            case Connect() | Message():
                return self._in_names("host's name", request.host, getattr(request, "sni", None))
            case HttpRequest() if self._values:
                text = sent(f"{request.method} {request.path}")
                return self._values.find(text, "request's target")
            case SshChannel():
                text, where = f"{request.user}\0{request.detail}".encode(), f"SSH {request.kind}"
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
