"""Compiled rules: whether one covers what was asked, and if not, how near it came."""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from itertools import product, starmap
from typing import NamedTuple

from firewall.deeds import NOTHING, Past
from firewall.frozen import frozen
from firewall.policy.addresses import Address
from firewall.policy.after import Sequence, told
from firewall.policy.apis import Api, Told, api_of, describe_apis, describe_calls
from firewall.policy.channels import Channels
from firewall.policy.holding import NO_LABELS, holding, owned
from firewall.policy.hosts import HostIndex, NetworkTable, parse_host, parse_network
from firewall.policy.paths import PathGlob, clean, oddity, readings
from firewall.policy.resolved import ResolvedRule
from firewall.policy.widening import entry
from firewall.requests import Calls, Override, Protocol

# What a stream must speak to be what a rule allows. A tcp rule relays bytes unread, so it carries
# TLS too; HTTP and SSH have kinds of their own, so a tcp rule cannot smuggle them past those.
# SOCKS and HTTP CONNECT reach a rule only where guards.tunnels is set to alert.
CARRIED: dict[str, frozenset[Protocol]] = {
    "https": frozenset({"tls"}),
    "http": frozenset({"http", "http2"}),
    "ssh": frozenset({"ssh"}),
    "tcp": frozenset({"tls", "unknown", "silent", "json-rpc", "dns", "socks", "http-connect"}),
}
SPOKEN: dict[Protocol, str] = {
    "tls": "TLS",
    "http": "plain HTTP",
    "http2": "plain HTTP/2",
    "ssh": "SSH",
    "socks": "SOCKS",
    "http-connect": "HTTP CONNECT",
    "json-rpc": "JSON-RPC",
    "dns": "DNS over TCP",
    "unknown": "an unknown protocol",
    "silent": "nothing (the client waits for the server)",
    "quic": "QUIC",
    "dtls": "DTLS",
    "stun": "STUN",
    "wireguard": "WireGuard",
    "openvpn": "OpenVPN",
}


class Asked(NamedTuple):
    """A request as rules see it. `method` is None for a connection, whose requests come later.

    A tuple because one is made for every decision, at a third of a frozen dataclass's cost.
    """

    host: str
    port: int
    protocol: Protocol
    program: str
    method: str | None = None
    path: str = ""
    past: Past = NOTHING
    calls: Calls | None = None
    copies: str = ""
    overrides: tuple[Override, ...] = ()

    def readings(self) -> Iterable["Asked"]:
        """The request as its line says it, and as servers read it that heed its overrides."""
        if not self.overrides:
            return (self,)
        methods = dict.fromkeys((self.method, *(o.method for o in self.overrides if o.method)))
        paths = dict.fromkeys((self.path, *(o.path for o in self.overrides if o.path)))
        return starmap(self._read_as, product(methods, paths))

    def _read_as(self, method: str | None, path: str) -> "Asked":
        return self._replace(method=method, path=path)


@frozen
class Miss:
    """Why a rule does not apply. The higher the rank, the nearer it came."""

    rank: int
    reason: str
    remedy: str


class Rule:
    """A resolved rule, ready to match at a cost that does not depend on its number of hosts."""

    __slots__ = (
        "_consent", "_holding", "_ports", "_programs", "_protocols", "_requests", "channels",
        "document", "gateway", "name", "opaque", "partial", "reads_bodies", "sequence", "source",
    )  # fmt: skip

    def __init__(self, document: ResolvedRule, labels: Mapping[str, str] = NO_LABELS) -> None:
        self.document = document
        self.name = document.name
        self.source = document.source
        self.partial = bool(document.methods or document.requests)
        self.opaque = document.kind == "tcp" or document.tls == "passthrough"
        self.channels = Channels(document.ssh) if document.ssh else None
        self.gateway = self.channels is not None
        self._protocols = _carried(document)
        self._ports = frozenset(document.ports)
        self._programs = _any_of(document.programs)
        self._requests = list(_requests(document))
        self.reads_bodies = any(each.api and each.api.in_body for each in self._requests)
        self._consent = _consent(document)
        self._holding = holding(document, labels)
        self.sequence = Sequence(document.after) if document.after else None

    def consents(self, address: Address) -> bool:
        """Whether the rule names this address, and so may lead to it though it is not public."""
        return bool(self._consent.find(address))

    def allows(self, asked: Asked) -> bool:
        """Whether this allow rule, one of the host's, covers what was asked."""
        return (
            asked.protocol in self._protocols
            and asked.port in self._ports
            and (self._programs is None or bool(self._programs.match(asked.program)))
            and (asked.method is None or not self.partial or self._missed(asked) is None)
            and (self._holding is None or self._holding.holds(asked.past.today))
        )

    def denies(self, asked: Asked) -> bool:
        """Whether this deny rule, one of the host's, covers what was asked.

        An unknown program is denied as if it were the one named. A deny of some requests says
        nothing about the connection that carries them.
        """
        if asked.protocol not in self._protocols or (self._ports and asked.port not in self._ports):
            return False
        if asked.program and self._programs and not self._programs.match(asked.program):
            return False
        if self._holding is not None and not self._holding.may_hold(asked.past.today):
            return False
        if self.sequence is not None and self.sequence.happened(asked.past) is None:
            return False
        if not self.partial:
            return True
        return asked.method is not None and any(map(self._denies_request, asked.readings()))

    def since(self, asked: Asked) -> str:
        """What was done before that makes a deny hold, in words; "" for a plain deny."""
        deed = self.sequence.happened(asked.past) if self.sequence else None
        return f" {told(deed, asked.past.now)}" if deed else ""

    def limited(self) -> str:
        """When and where alone the rule holds, in words; "" for one that always holds."""
        return f", and {self._holding.when()}" if self._holding else ""

    def _missed(self, asked: Asked) -> Asked | None:
        """The first reading of a request that this rule does not allow."""
        return next((each for each in asked.readings() if not self._allows_request(each)), None)

    def _allows_request(self, asked: Asked) -> bool:
        candidates = [each for each in self._requests if _has(each.methods, asked.method)]
        if any(each.glob is None and each.api is None for each in candidates):
            return True
        segments = clean(asked.path.partition("?")[0]) if candidates else None
        told = _told(asked)
        return any(
            (each.glob is None or (segments is not None and each.glob.matches(segments)))
            and (each.api is None or each.api.allows(told))
            for each in candidates
        )

    def _denies_request(self, asked: Asked) -> bool:
        method = (asked.method or "").upper()
        candidates = [each for each in self._requests if _has(each.methods, method)]
        if any(each.glob is None and each.api is None for each in candidates):
            return True
        if not candidates:
            return False
        ways, told = readings(asked.path.partition("?")[0]), _told(asked)
        return any(
            (each.glob is None or any(each.glob.matches(way) for way in ways))
            and (each.api is None or each.api.denies(told))
            for each in candidates
        )

    def miss(self, asked: Asked) -> Miss | None:
        """Why this rule, one of the host's, does not allow what was asked; None where it does."""
        document, where = self.document, f"rule {self.name} ({self.source})"
        if asked.protocol not in self._protocols:
            spoken = SPOKEN.get(asked.protocol, asked.protocol)
            reason = f"{spoken} on port {asked.port}; rule {self.name} allows {document.kind}"
            return Miss(1, reason, "")
        if self._ports and asked.port not in self._ports:
            ports = _listed("port", document.ports)
            reason = f"{asked.host} is allowed on {ports}, not {asked.port} (rule {self.name})"
            # All of them, as those that are not written would no longer hold once one is.
            written = ", ".join(map(str, (*document.ports, asked.port)))
            return Miss(2, reason, f"write ports: [{written}] in {where}")
        if self._programs and not self._programs.match(asked.program):
            who = f"this is {asked.program}" if asked.program else "the program is not known"
            programs = ", ".join(document.programs)
            reason = f"rule {self.name} allows it only for programs {programs}; {who}"
            remedy = f'add "{asked.program}" to programs of {where}' if asked.program else ""
            return Miss(3, reason, remedy)
        if asked.method is not None and self.partial and (missed := self._missed(asked)):
            return self._missed_request(missed, where, asked)
        if self._holding and (lapse := self._holding.lapse(asked.past.today)):
            why = f": {document.reason}" if document.reason else ""
            reason = f"rule {self.name} {lapse}{owned(document.owner)}{why}"
            return Miss(5, reason, self._holding.remedy())
        return None

    def _missed_request(self, asked: Asked, where: str, sent: Asked) -> Miss:
        """Why a request is not allowed as it is read here, which may be otherwise than sent."""
        path = asked.path.partition("?")[0]
        known = ", ".join(self.described())
        what = f"{asked.method} {path[:200]}{describe_calls(asked.calls)}{_overridden(asked, sent)}"
        reason = f"rule {self.name} allows {known}; this is {what}"
        added = entry(_told(asked), self.document.requests)
        if self.document.requests and not added and clean(path) is None:
            hint = f"; no path rule allows an ambiguous path: {oddity(path)}"
            return Miss(4, reason + hint, "send the path plainly, as the server is to read it")
        method = asked.method or ""
        if method != method.upper():
            return Miss(4, reason, f"send {method.upper()}: methods are told apart by case")
        if self.document.methods:
            return Miss(4, reason, f"add {method} to methods of {where}")
        remedy = f"add {added}" if added else "if this was right, add what allows it"
        return Miss(4, reason, f"{remedy} to requests of {where}")

    def described(self) -> Iterable[str]:
        """The requests that the rule is for, in words; none where it is for any."""
        yield from self.document.methods
        for each in self.document.requests:
            method = each.method or ("" if each.apis else "any method")
            parts = (method, each.path, *describe_apis(each))
            yield " ".join(part for part in parts if part)


def _carried(document: ResolvedRule) -> frozenset[Protocol]:
    """Some SSH clients wait for the server's banner, which the gateway is there to send."""
    carried = CARRIED.get(document.kind, frozenset(SPOKEN))
    return carried | {"silent"} if document.ssh else carried


class _Kind(NamedTuple):
    """A kind of request: methods (none: any), a path and an API (None: any)."""

    methods: frozenset[str]
    glob: PathGlob | None = None
    api: Api | None = None


def _requests(document: ResolvedRule) -> Iterator[_Kind]:
    """What the rule says of requests."""
    if document.methods:
        yield _Kind(frozenset(document.methods))
    for each in document.requests:
        methods = frozenset({each.method} if each.method else ())
        yield _Kind(methods, PathGlob(each.path) if each.path else None, api_of(each))


def _overridden(read: Asked, sent: Asked) -> str:
    """By which headers a request is read otherwise than its line says, in words; "" for none."""
    headers = dict.fromkeys(
        each.header
        for each in sent.overrides
        if (each.method == read.method != sent.method) or (each.path == read.path != sent.path)
    )
    return f", as its header {' and '.join(headers)} says" if headers else ""


def _told(asked: Asked) -> Told:
    return Told(asked.method or "", asked.host, asked.path, asked.calls, asked.copies)


def _has(methods: frozenset[str], method: str | None) -> bool:
    return not methods or method in methods


def _any_of(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = [translate(glob) for glob in globs]
    return re.compile("|".join(patterns)) if patterns else None


def _listed(noun: str, values: Iterable[int]) -> str:
    texts = [str(value) for value in values]
    return f"{noun}{'s' if len(texts) > 1 else ''} {', '.join(texts)}"


def _consent(document: ResolvedRule) -> NetworkTable[bool]:
    table: NetworkTable[bool] = NetworkTable()
    own = (parse_host(host).network for host in document.hosts)
    for network in (*map(parse_network, document.addresses), *own):
        if network is not None:
            table.add(network, True)
    return table


def index(rules: Iterable[Rule]) -> HostIndex[Rule]:
    """Rules by the hosts that they name."""
    return HostIndex((parse_host(host), rule) for rule in rules for host in rule.document.hosts)
