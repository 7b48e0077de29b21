"""The decision: guards, then denies, then allows, then the default, which is deny.

Pure and fast: rules are found by host in dictionaries, so the cost does not grow with their number.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from firewall.actor import Actor
from firewall.deeds import NOTHING, Past
from firewall.policy import remedies
from firewall.policy.addresses import Address, Scope, classify, parse_address
from firewall.policy.calls import Calls
from firewall.policy.carried import misplaced
from firewall.policy.channels import wanted
from firewall.policy.guards import weighed
from firewall.policy.hosts import normalise, read_host
from firewall.policy.leaks import Excuses, excusable
from firewall.policy.leaks import remedy as keep_in
from firewall.policy.lists import Listed
from firewall.policy.names import answered, contradiction, nameless, tunnel
from firewall.policy.obligations import obligations
from firewall.policy.plain import plain
from firewall.policy.resolved import Resolved
from firewall.policy.rules import SPOKEN, Asked, Rule, index
from firewall.policy.rulings import Ruling
from firewall.requests import (
    Connect,
    Execute,
    Finding,
    HttpRequest,
    Message,
    Protocol,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
    recurs,
)
from firewall.verdict import Action, Severity, Verdict

_USUAL = 1024
"""Connections and requests whose verdicts are remembered: a program opens many to one place, and
asks for each more than once."""

type _Alerts = list[str]


class Decider:
    """Everything a decision needs, compiled from the resolved policy."""

    def __init__(self, resolved: Resolved, digest: str) -> None:
        self._digest = digest
        self._enforced = resolved.mode == "enforce"
        self._file = resolved.sources[-1].rpartition("/")[2] if resolved.sources else resolved.name
        self._guards = resolved.guards
        self._listed = Listed(resolved.lists)
        self._calls = Calls(resolved, self._file)
        # By name, so that the order in files does not even decide which of two allows is named.
        rules = [Rule(each, resolved.labels) for each in resolved.rules]
        rules.sort(key=lambda rule: rule.name)
        self._allows = index(rule for rule in rules if rule.document.action == "allow")
        self._excuses = Excuses(rules, resolved.watched.homes)
        self._denies = index(rule for rule in rules if rule.document.action == "deny")
        self._obligations = partial(obligations, whole=resolved.limits)
        self._allowed = lru_cache(1024)(self._allow)
        allowed = partial(Verdict, Action.ALLOW, policy_digest=self._digest)
        self._granted = lru_cache(1024)(allowed)
        self._usual = lru_cache(_USUAL)(partial(self._decide, past=NOTHING))
        self._judges: dict[type, Callable[[Any, str, _Alerts, Past], Verdict]] = {
            Connect: self._connect,
            Resolve: self._resolve,
            HttpRequest: self._http,
            Message: self._message,
            SshChannel: self._ssh_channel,
            Execute: self._execute,
            ToolCall: self._tool_call,
        }

    def decide(self, request: Request, actor: Actor, past: Past) -> Verdict:
        """Judge a request; see `Policy.decide`."""
        if past is NOTHING and recurs(request):
            return self._usual(request, actor.program)
        return self._decide(request, actor.program, past)

    def _decide(self, request: Request, program: str, past: Past) -> Verdict:
        alerts: _Alerts = []
        verdict = self._findings(request, program, alerts, past) if request.findings else None
        if verdict is None:
            verdict = self._judges[type(request)](request, program, alerts, past)
        return _with_alerts(verdict, alerts) if alerts else verdict

    def _findings(
        self, request: Request, program: str, alerts: _Alerts, past: Past
    ) -> Verdict | None:
        """The first finding that is blocked; those that only alert are written down."""
        findings: Sequence[Finding] = [
            each for each in request.findings if not self._excuses.exchanged(each, request)
        ]
        if any(map(excusable, findings)) and self._excuses.cover(request, program, past):
            findings = [each for each in findings if not excusable(each)]
        blocked = None
        for finding in findings:
            guard, severity = weighed(finding)
            reason = f"{finding.name}: {finding.evidence} ({finding.where}; {finding.confidence})"
            remedy = remedies.malformed(finding)
            if excusable(finding):
                remedy = keep_in(finding, getattr(request, "host", ""), self._guards.get("secrets"))
            blocked = blocked or self._guard(guard, reason, severity, alerts, remedy)
        return blocked

    def _guard(
        self, name: str, reason: str, severity: Severity, alerts: _Alerts, remedy: str = ""
    ) -> Verdict | None:
        """What a guard makes of something it saw: a deny, or an alert and no verdict."""
        guard = self._guards.get(name)
        if guard is not None and guard.action == "alert":
            where = f" ({guard.source})" if guard.source else ""
            alerts.append(plain(f"guards.{name} is set to alert{where}: {reason}"))
            return None
        source = guard.source if guard else ""
        remedy = remedy or remedies.guard(name, guard)
        return self._deny(f"guards.{name}", reason, remedy, severity, source)

    def _names(self, alerts: _Alerts, *names: str | None) -> Verdict | None:
        """A verdict against names that are on a list."""
        if not self._listed:
            return None
        for name in dict.fromkeys(normalise(each) for each in names if each):
            if entry := self._listed.find(name):
                reason = f"{name} is on a list of names for guards.{entry.guard} ({entry.where})"
                blocked = self._guard(entry.guard, reason, Severity.CRITICAL, alerts)
                if blocked:
                    remedy = remedies.listed(entry, self._guards.get(entry.guard))
                    return replace(blocked, remedy=plain(remedy), source=entry.where)
        return None

    def _connect(self, request: Connect, program: str, alerts: _Alerts, past: Past) -> Verdict:
        if blocked := self._names(alerts, request.host, request.sni):
            return blocked
        if request.transport == "udp":
            return self._udp(request)
        host, address, named = read_host(request.host)
        if request.protocol in ("socks", "http-connect"):
            reason = f"{request.protocol} on a direct connection asks for a tunnel"
            if blocked := self._guard("tunnels", reason, Severity.CRITICAL, alerts):
                return blocked
        sni = request.sni
        if sni is not None and address is None and sni != host and normalise(sni) != host:
            return self._mismatch(f"the TLS handshake names {sni!r}, the connection {host!r}")
        asked = Asked(host, request.port, request.protocol, program, past=past)
        dialled = parse_address(request.address) if request.address is not None else address
        near, far = self._candidates(host, named, address, dialled)
        allows = [rule for rule in near if rule.allows(asked)]
        text = request.address if address is None or request.address is not None else host
        scope = classify(text) if text is not None else Scope.PUBLIC
        if text is not None and scope is not Scope.PUBLIC:
            blocked = self._private(asked, text, scope, dialled, allows, alerts)
            if blocked is not None:
                return blocked
        return self._settle(asked, near, far, allows, request)

    def _candidates(
        self, host: str, named: bool, address: Address | None, dialled: Address | None
    ) -> tuple[list[Rule], list[Rule]]:
        """The allows and the denies that name a host. Denies of networks also hold for what a name
        resolves to, and for addresses carried inside others."""
        if address is not None:
            near = self._allows.by_address(address)
            far = self._denies.by_address(address, inner=True)
        elif named:
            near, far = self._allows.by_name(host), self._denies.by_name(host)
        else:
            return [], []
        if dialled is not None and dialled is not address:
            far += self._denies.by_address(dialled, inner=True)
        return near, far

    def _private(
        self,
        asked: Asked,
        text: str,
        scope: Scope,
        address: Address | None,
        allows: list[Rule],
        alerts: _Alerts,
    ) -> Verdict | None:
        """A verdict against an address that is not public and to which no rule consents."""
        where = text if text == asked.host else f"{asked.host} leads to {text}"
        reason = f"{where}: {scope.value} address"
        if scope is Scope.METADATA:
            remedy = "nothing: metadata services hand out credentials and are never allowed"
            name = "guards.private-addresses"
            return self._deny(
                name, reason, remedy, Severity.CRITICAL, self._source("private-addresses")
            )
        if address is not None and any(rule.consents(address) for rule in allows):
            return None
        blocked = self._guard("private-addresses", reason, Severity.WARNING, alerts)
        return blocked and replace(
            blocked, remedy=remedies.private(asked, text, allows, self._file)
        )

    def _settle(
        self,
        asked: Asked,
        near: list[Rule],
        far: list[Rule],
        allows: list[Rule],
        request: Connect | HttpRequest,
    ) -> Verdict:
        """Deny beats allow; without either, deny."""
        for rule in far:
            if rule.denies(asked):
                return self._denied(rule, asked)
        if not allows:
            return self._default(asked, near)
        verdict = self._allowed(tuple(allows), asked.method, asked.host, asked.port)
        opaque = verdict.obligations.tls == "passthrough"
        if opaque and isinstance(request, Connect) and nameless(request, allows):
            return self._mismatch(
                f"the TLS handshake names no host, so nobody can tell that it is for {asked.host}:"
                f" rule {allows[0].name} passes it through unread"
            )
        return verdict

    def _allow(self, allows: tuple[Rule, ...], method: str | None, host: str, port: int) -> Verdict:
        """Made once for the like of it, because most requests are allowed."""
        rule = allows[0]
        what = f"{method} to {host}" if method is not None else host
        why = f": {rule.document.reason}" if rule.document.reason else ""
        return Verdict(
            Action.ALLOW,
            rule.name,
            plain(f"rule {rule.name} allows {rule.document.kind}: {what} on port {port}{why}"),
            source=rule.source,
            obligations=self._obligations(allows),
            policy_digest=self._digest,
            owner=rule.document.owner,
        )

    def _denied(self, rule: Rule, asked: Asked) -> Verdict:
        why = rule.since(asked) + (f": {rule.document.reason}" if rule.document.reason else "")
        reason = f"rule {rule.name} denies {rule.document.kind} to {asked.host}{why}"
        remedy = f"narrow or remove rule {rule.name} ({rule.source}): deny beats allow"
        verdict = self._deny(rule.name, reason, remedy, source=rule.source)
        return replace(verdict, owner=rule.document.owner)

    def _default(self, asked: Asked, near: list[Rule]) -> Verdict:
        """The default deny, which tells how near the nearest rule came."""
        misses = [(miss, rule) for rule in near if (miss := rule.miss(asked)) is not None]
        if misses:
            best, rule = max(misses, key=lambda each: each[0].rank)
            remedy = best.remedy or remedies.add_rule(asked, self._file)
            verdict = self._deny("default", best.reason, remedy)
            return replace(verdict, owner=rule.document.owner)
        reason = f"no rule allows {asked.host} on port {asked.port}"
        return self._deny("default", reason, remedies.add_rule(asked, self._file))

    def _udp(self, request: Connect) -> Verdict:
        spoken = SPOKEN[request.protocol]
        reason = (
            f"UDP to {request.host}:{request.port} ({spoken}) is refused: QUIC and other UDP cannot"
            " be judged; clients fall back to TCP"
        )
        return self._deny("default", reason, "use TCP; for names, ask the firewall's own DNS")

    def _resolve(self, request: Resolve, program: str, alerts: _Alerts, past: Past) -> Verdict:
        if entry := self._listed.find(normalise(request.name)):
            alerts.append(f"the name is on a list for guards.{entry.guard} ({entry.where})")
        reason = answered(request.kind)
        if not reason:
            reason = f"{request.kind} questions are answered empty: they can carry data out"
            return self._deny("names", reason, "ask for A or AAAA, which is all a connection needs")
        return Verdict(Action.ALLOW, "names", reason, policy_digest=self._digest)

    def _http(self, request: HttpRequest, program: str, alerts: _Alerts, past: Past) -> Verdict:
        if blocked := self._names(alerts, request.host, request.authority, request.sni):
            return blocked
        host, address, named = read_host(request.host)
        if mismatch := contradiction(request, host, address):
            return self._mismatch(mismatch)
        if what := tunnel(request):
            reason = f"{what} turns the request into a tunnel"
            if blocked := self._guard("tunnels", reason, Severity.CRITICAL, alerts):
                return blocked
        protocol: Protocol = "tls" if request.scheme == "https" else "http"
        asked = Asked(
            host, request.port, protocol, program, request.method, request.path, past,
            request.calls, request.copies, request.overrides,
        )  # fmt: skip
        near, far = self._candidates(host, named, address, address)
        allows = [rule for rule in near if rule.document.kind != "tcp" and rule.allows(asked)]
        verdict = self._settle(asked, near, far, allows, request)
        if request.carries and (reason := misplaced(request, verdict, allows, near)):
            blocked = self._guard("secrets", reason, Severity.CRITICAL, alerts)
            return blocked or verdict
        return verdict

    def reads(self, request: HttpRequest) -> bool:
        """Whether a rule near the host would judge what the request's body asks."""
        host, address, named = read_host(request.host)
        near, far = self._candidates(host, named, address, address)
        return any(rule.reads_bodies for rule in (*near, *far))

    def _message(self, request: Message, program: str, alerts: _Alerts, past: Past) -> Verdict:
        reason = "no guard blocks what was found in it" if alerts else "nothing was found in it"
        return Verdict(Action.ALLOW, "messages", reason, policy_digest=self._digest)

    def _ssh_channel(
        self, request: SshChannel, program: str, alerts: _Alerts, past: Past
    ) -> Verdict:
        """Deny rules of hosts were judged with the connection, which must have been allowed."""
        host, address, named = read_host(request.host)
        asked = Asked(host, request.port, "ssh", program, past=past)
        near, _ = self._candidates(host, named, address, address)
        rules = [rule for rule in near if rule.channels and rule.allows(asked)]
        for rule in rules:
            if rule.channels and rule.channels.covers(request):
                reason = f"rule {rule.name} allows {wanted(request)}"
                return Verdict(
                    Action.ALLOW, rule.name, plain(reason), source=rule.source,
                    policy_digest=self._digest, owner=rule.document.owner,
                )  # fmt: skip
        return self._uncovered(request, rules)

    def _uncovered(self, request: SshChannel, rules: list[Rule]) -> Verdict:
        """The default deny inside SSH, which tells what the nearest rule allows instead."""
        where = f"{request.user}@{request.host}" if request.user else request.host
        what = f"no rule allows {wanted(request)} at {where}"
        ranked = sorted(rules, key=lambda rule: not _has_user(rule, request.user))
        if not ranked or ranked[0].channels is None:
            return self._deny("default", what, remedies.add_channel(request, self._file))
        rule, lack = ranked[0], ranked[0].channels.lack(request)
        remedy = f"{lack.change} rule {rule.name} ({rule.source})" if lack.change else ""
        verdict = self._deny("default", f"{what}; rule {rule.name} allows {lack.allows}", remedy)
        return replace(verdict, owner=rule.document.owner)

    def _execute(self, request: Execute, program: str, alerts: _Alerts, past: Past) -> Verdict:
        return self._ruled(self._calls.execute(request, past))

    def _tool_call(self, request: ToolCall, program: str, alerts: _Alerts, past: Past) -> Verdict:
        return self._ruled(self._calls.tool_call(request, past))

    def _ruled(self, ruling: Ruling) -> Verdict:
        _, action, rule, reason, remedy, source, owner = ruling
        if action is Action.ALLOW:
            return self._granted(rule, plain(reason), source=source, owner=owner)
        held = self._held(action, rule, reason, remedy, source=source)
        return replace(held, owner=owner) if owner else held

    def _mismatch(self, reason: str) -> Verdict:
        remedy = "connect to the host and port that the request is for; one name everywhere"
        return self._deny("guards.name-mismatch", reason, remedy)

    def _source(self, guard: str) -> str:
        return self._guards[guard].source if guard in self._guards else ""

    def _deny(
        self,
        rule: str,
        reason: str,
        remedy: str,
        severity: Severity = Severity.WARNING,
        source: str = "",
    ) -> Verdict:
        return self._held(Action.DENY, rule, reason, remedy, severity, source)

    def _held(
        self,
        action: Action,
        rule: str,
        reason: str,
        remedy: str,
        severity: Severity = Severity.WARNING,
        source: str = "",
    ) -> Verdict:
        told = plain(reason), severity, plain(remedy), source or self._file
        return Verdict(action, rule, *told, policy_digest=self._digest, enforced=self._enforced)


def _has_user(rule: Rule, user: str) -> bool:
    return rule.channels is not None and user in rule.channels.terms.users


def _with_alerts(verdict: Verdict, alerts: _Alerts) -> Verdict:
    severity = Severity.WARNING if verdict.severity is Severity.INFO else verdict.severity
    return replace(verdict, severity=severity, reason="; ".join((verdict.reason, *alerts)))
