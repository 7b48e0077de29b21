"""Decisions: action, rule, reason and severity of each."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.actor import Actor, Process
from firewall.policy import Policy
from firewall.policy.addresses import parse_address
from firewall.policy.hosts import parse_host
from firewall.policy.resolved import Resolved, ResolvedRule
from firewall.policy.rules import Asked, Rule
from firewall.requests import (
    Connect,
    Execute,
    Finding,
    HttpRequest,
    Message,
    Override,
    Protocol,
    Request,
    Resolve,
    SshChannel,
)
from firewall.verdict import Severity, Verdict

NOBODY = Actor(sandbox="test")
MINING = Finding("mining", "stratum-v1", "mining.subscribe", "byte 0")
TUNNEL = Finding("tunnel", "chisel", "its banner", "byte 0")
ODD = Finding("protocol-mismatch", "http", "two lengths", "request head", "likely")
MISMATCH = Finding("protocol-mismatch", "tls", "HTTP in a TLS record", "byte 0")

RULES = """
network:
  rules:
    - name: api
      allow: https
      hosts: [api.example, "*.cdn.example", "8.8.4.0/24"]
    - name: git
      allow: https
      hosts: [git.example]
      requests: [{method: GET}, {method: POST, path: "/*/*/git-upload-pack"}, {path: "/any/*"}]
    - {name: tool, allow: https, hosts: [tool.example], programs: ["*/git"]}
    - {name: pinned, allow: https, hosts: [pinned.example, both.example], tls: passthrough}
    - {name: both, allow: https, hosts: [both.example]}
    - {name: plain, allow: http, hosts: [plain.example]}
    - {name: shell, allow: ssh, hosts: [shell.example], forwarding: trusted}
    - name: db
      allow: tcp
      hosts: [db.example, 10.1.2.3]
      ports: [5432]
      addresses: ["10.0.0.0/8"]
    - {name: no-bad, deny: any, hosts: [bad.cdn.example, 8.8.4.4], reason: it is bad}
    - {name: no-admin, deny: https, hosts: [api.example], requests: [{path: "/admin/**"}]}
    - {name: no-curl, deny: https, hosts: [www.cdn.example], programs: ["*/curl"]}
"""


def tls(host: str, **changes: Any) -> Connect:
    sni = None if parse_address(host) else host
    return replace(Connect(host, 443, protocol="tls", sni=sni), **changes)


def https(method: str, host: str, path: str = "/", **changes: Any) -> HttpRequest:
    return replace(HttpRequest(method, "https", host, 443, path, host, host), **changes)


def by(program: str) -> Actor:
    return Actor(sandbox="test", process=Process(1, 0.0, program, (program,), 0))


ALLOWED: list[tuple[Request, str]] = [
    (tls("api.example"), "api"),
    (tls("api.example", sni=None), "api"),
    (tls("api.example", sni="API.example."), "api"),
    (tls("API.example."), "api"),
    (tls("a.cdn.example", address="8.8.8.8"), "api"),
    (tls("8.8.4.8", sni="anything.example"), "api"),
    (tls("::ffff:8.8.4.8"), "api"),
    (tls("git.example"), "git"),
    (tls("pinned.example"), "pinned"),
    (Connect("plain.example", 80, protocol="http"), "plain"),
    (Connect("plain.example", 80, protocol="http2"), "plain"),
    (Connect("shell.example", 22, protocol="ssh"), "shell"),
    (Connect("db.example", 5432), "db"),
    (Connect("db.example", 5432, protocol="silent"), "db"),
    (Connect("db.example", 5432, protocol="json-rpc"), "db"),
    (Connect("db.example", 5432, protocol="tls"), "db"),
    (Connect("db.example", 5432, address="10.9.9.9"), "db"),
    (Connect("10.1.2.3", 5432, address="10.1.2.3"), "db"),
    (https("GET", "api.example"), "api"),
    (https("PATCH", "api.example", authority="API.example."), "api"),
    (https("GET", "git.example", "/anything"), "git"),
    (https("POST", "git.example", "/o/r/git-upload-pack?x=1"), "git"),
    (https("DELETE", "git.example", "/any/%61"), "git"),
    (https("GET", "8.8.4.8", sni=None), "api"),
    (https("GET", "8.8.4.8", authority="x.example", sni="x.example"), "api"),
    (https("GET", "api.example", upgrade="websocket"), "api"),
    (https("GET", "api.example", authority_port=443), "api"),
    (https("GET", "api.example", upgrade="h2c"), "api"),
    (Resolve("any.example", "A"), "names"),
    (Resolve("any.example", "HTTPS"), "names"),
    (Message("api.example", 443, "websocket", "sent", ()), "messages"),
]

DENIED: list[tuple[Request, str, str]] = [
    # nothing names the host
    (tls("other.example"), "default", "no rule allows other.example on port 443"),
    (tls("cdn.example"), "default", "no rule allows"),
    (tls("8.8.5.1"), "default", "no rule allows 8.8.5.1"),
    (tls("a b.cdn.example"), "default", "no rule allows"),
    # near misses
    (Connect("api.example", 443, protocol="http"), "default",
     "plain HTTP on port 443; rule api allows https"),
    (tls("api.example", port=8443), "default", "api.example is allowed on port 443, not 8443"),
    (tls("tool.example"), "default", "only for programs */git; the program is not known"),
    (https("POST", "git.example", "/o/r/git-receive-pack"), "default",
     "rule git allows GET, POST /*/*/git-upload-pack, any method /any/*; this is POST /o/r/git-re"),
    (https("get", "git.example"), "default", "this is get /"),
    (https("POST", "git.example", "/any/../o"), "default", "it has dot segments or odd"),
    (https("OPTIONS", "git.example", "*"), "default", "* asks about the whole server"),
    (https("POST", "git.example", "/a#b"), "default", "it has a #fragment"),
    (https("get", "git.example", "/"), "default", "this is get /"),
    (Connect("db.example", 5432, protocol="ssh"), "default", "SSH on port 5432; rule db"),
    (Connect("shell.example", 22, protocol="silent"), "default", "rule shell allows ssh"),
    (https("GET", "db.example", port=5432), "default", "no rule allows db.example"),
    # UDP
    (Connect("api.example", 443, "udp"), "default", "clients fall back to TCP"),
    # names that disagree
    (tls("api.example", sni="other.example"), "guards.name-mismatch", "names 'other.example'"),
    (tls("other.example", sni="api.example"), "guards.name-mismatch", "names 'api.example'"),
    (tls("pinned.example", sni=None), "guards.name-mismatch", "names no host"),
    (https("GET", "api.example", authority="evil.example"), "guards.name-mismatch",
     "the request is for 'evil.example', the connection goes to 'api.example'"),
    (https("GET", "api.example", sni="evil.example"), "guards.name-mismatch", "handshake names"),
    (https("GET", "8.8.4.8", authority="evil.example", sni="x.example"), "guards.name-mismatch",
     "the connection goes to 8.8.4.8"),
    (https("GET", "api.example", authority_port=8443), "guards.name-mismatch",
     "the request is for 'api.example:8443', the connection goes to port 443"),
    # tunnels
    (Connect("api.example", 443, protocol="socks"), "guards.tunnels", "socks on a direct"),
    (Connect("db.example", 5432, protocol="http-connect"), "guards.tunnels", "http-connect"),
    (https("CONNECT", "api.example"), "guards.tunnels", "CONNECT turns the request"),
    (https("GET", "api.example", upgrade="derp"), "guards.tunnels", "upgrade to derp"),
    (https("GET", "api.example", upgrade="h2c, derp"), "guards.tunnels", "upgrade to h2c, derp"),
    # addresses
    (tls("api.example", address="10.0.0.1"), "guards.private-addresses",
     "api.example leads to 10.0.0.1: private address"),
    (tls("api.example", address="::ffff:10.0.0.1"), "guards.private-addresses", "private address"),
    (tls("api.example", address="nonsense"), "guards.private-addresses", "not an address"),
    (Connect("db.example", 5432, address="192.168.1.1"), "guards.private-addresses", "private"),
    (Connect("db.example", 5432, address="169.254.169.254"), "guards.private-addresses",
     "cloud metadata address"),
    (Connect("127.0.0.1", 80), "guards.private-addresses", "127.0.0.1: loopback address"),
    # deny beats allow
    (tls("bad.cdn.example"), "no-bad", "rule no-bad denies any to bad.cdn.example: it is bad"),
    (tls("BAD.cdn.example."), "no-bad", "it is bad"),
    (tls("8.8.4.4"), "no-bad", "it is bad"),
    (tls("api.example", address="8.8.4.4"), "no-bad", "it is bad"),
    (tls("64:ff9b::808:404"), "no-bad", "it is bad"),
    (tls("www.cdn.example"), "no-curl", "rule no-curl denies https"),
    (https("GET", "api.example", "/admin/x"), "no-admin", "rule no-admin denies"),
    (https("GET", "api.example", "/x/..%2f/%61dmin/x"), "no-admin", "rule no-admin denies"),
    # findings
    (tls("api.example", findings=(MINING,)), "guards.mining", "stratum-v1: mining.subscribe"),
    (Resolve("x.example", "A", (TUNNEL,)), "guards.tunnels", "its banner (byte 0; certain)"),
    (tls("api.example", findings=(MISMATCH,)), "guards.protocol-mismatch", "HTTP in a TLS"),
    (Message("api.example", 443, "websocket", "sent", (MINING,)), "guards.mining", "stratum"),
    (Execute("/bin/x", ("x",), "/", (TUNNEL,)), "guards.tunnels", "chisel"),
    # what no rule can allow
    (Resolve("x.example", "TXT"), "names", "TXT questions are answered empty"),
    (Resolve("x.example", "ANY"), "names", "answered empty"),
    (SshChannel("shell.example", 22, "git", "shell"), "default", "no rule allows a shell at git@"),
]  # fmt: skip


@pytest.fixture
def rules(policy: Callable[[str], Policy]) -> Policy:
    return policy(RULES)


def test_allowed(rules: Policy) -> None:
    for request, rule in ALLOWED:
        verdict = rules.decide(request, NOBODY)
        assert (verdict.action, verdict.rule) == ("allow", rule), (request, verdict.reason)
        assert verdict.severity is Severity.INFO
        assert verdict.policy_digest == rules.digest


def test_denied(rules: Policy) -> None:
    for request, rule, reason in DENIED:
        verdict = rules.decide(request, NOBODY)
        assert (verdict.action, verdict.rule) == ("deny", rule), (request, verdict.reason)
        assert reason in verdict.reason
        assert verdict.remedy or "a b" in str(request)
        assert verdict.source
        assert not verdict.allowed


@pytest.mark.parametrize(
    ("request_", "severity"),
    [
        (tls("other.example"), Severity.WARNING),
        (tls("api.example", sni="x.example"), Severity.WARNING),
        (tls("api.example", address="10.0.0.1"), Severity.WARNING),
        (tls("api.example", address="169.254.169.254"), Severity.CRITICAL),
        (tls("api.example", findings=(MINING,)), Severity.CRITICAL),
        (tls("api.example", findings=(MISMATCH,)), Severity.CRITICAL),
        (tls("api.example", findings=(ODD,)), Severity.WARNING),
        (https("CONNECT", "api.example"), Severity.CRITICAL),
    ],
)
def test_severity_of_denies(rules: Policy, request_: Request, severity: Severity) -> None:
    assert rules.decide(request_, NOBODY).severity is severity


def test_programs(rules: Policy) -> None:
    assert rules.decide(tls("tool.example"), by("/usr/bin/git")).rule == "tool"
    denied = rules.decide(tls("tool.example"), by("/usr/bin/curl"))
    assert denied.reason.endswith("only for programs */git; this is /usr/bin/curl")
    assert denied.remedy.startswith('add "/usr/bin/curl" to programs of rule tool (test.yaml:')
    assert rules.decide(tls("www.cdn.example"), by("/usr/bin/curl")).rule == "no-curl"
    assert rules.decide(tls("www.cdn.example"), by("/usr/bin/git")).rule == "api"


def test_the_remedy_for_an_odd_head_is_a_plain_one(rules: Policy) -> None:
    odd = rules.decide(Message("api.example", 443, "tls stream", "sent", (ODD,)), NOBODY)
    other = rules.decide(tls("api.example", findings=(MISMATCH,)), NOBODY)
    assert "send one plain head" in odd.remedy
    unread = replace(ODD, name="model-answer")
    verdict = rules.decide(Message("api.example", 443, "http body", "received", (unread,)), NOBODY)
    assert (verdict.rule, verdict.severity) == ("guards.protocol-mismatch", Severity.WARNING)
    assert "as JSON or as server-sent events" in verdict.remedy
    assert other.remedy == "nothing: this guard is always on"


def test_a_method_in_lower_case_is_told_how_it_is_written(rules: Policy) -> None:
    verdict = rules.decide(https("get", "git.example", "/x"), NOBODY)
    assert verdict.remedy == "send GET: methods are told apart by case"


def overridden(method: str, host: str, path: str, *overrides: Override) -> HttpRequest:
    return https(method, host, path, overrides=overrides)


DELETES = Override("x-http-method-override", "DELETE")
FETCHES = Override("x-http-method-override", "GET")
UPLOADS = Override("x-original-url", path="/o/r/git-upload-pack")
RECEIVES = Override("x-rewrite-url", path="/o/r/git-receive-pack")
ADMIN = Override("x-original-url", path="/admin/users")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            overridden("GET", "git.example", "/x", DELETES),
            "this is DELETE /x, as its header x-http-method-override says",
        ),
        (
            overridden("POST", "git.example", "/o/r/git-upload-pack", RECEIVES),
            "this is POST /o/r/git-receive-pack, as its header x-rewrite-url says",
        ),
        (
            overridden("POST", "git.example", "/x", UPLOADS, FETCHES),
            "this is POST /x",
        ),
        (
            overridden("GET", "git.example", "/x", ADMIN, DELETES),
            "this is DELETE /x, as its header x-http-method-override says",
        ),
        (
            overridden("POST", "git.example", "/o/r/git-upload-pack", ADMIN, FETCHES),
            "this is POST /admin/users, as its header x-original-url says",
        ),
        (
            overridden("POST", "git.example", "/o/r/git-upload-pack", Override("x", path="o/../r")),
            "this is POST o/../r, as its header x says",
        ),
        (overridden("GET", "api.example", "/x", ADMIN), "rule no-admin denies https"),
        (
            overridden("GET", "api.example", "/x", Override("x", path="/x/..//%61dmin/a")),
            "rule no-admin denies https",
        ),
    ],
)
def test_every_way_to_read_a_request_is_judged(
    rules: Policy, request_: HttpRequest, reason: str
) -> None:
    verdict = rules.decide(request_, NOBODY)
    assert not verdict.allowed
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "request_",
    [
        overridden("POST", "git.example", "/o/r/git-upload-pack", FETCHES),
        overridden("POST", "git.example", "/o/r/git-upload-pack", UPLOADS, FETCHES),
        overridden("DELETE", "git.example", "/any/x", Override("x", path="/any/y")),
        overridden("GET", "api.example", "/x", DELETES),
    ],
)
def test_a_request_that_is_allowed_however_it_is_read(rules: Policy, request_: HttpRequest) -> None:
    assert rules.decide(request_, NOBODY).allowed


def test_the_remedy_for_an_ambiguous_path_opens_nothing(rules: Policy) -> None:
    for path in ("/any/../o", "*", "/any/%2e", "/a#b"):
        verdict = rules.decide(https("POST", "git.example", path), NOBODY)
        assert verdict.remedy == "send the path plainly, as the server is to read it"


def test_obligations(rules: Policy) -> None:
    def obliged(request: Request) -> tuple[str, str]:
        obligations = rules.decide(request, NOBODY).obligations
        return obligations.tls, obligations.ssh

    assert obliged(tls("api.example")) == ("inspect", "none")
    assert obliged(tls("pinned.example")) == ("passthrough", "none")
    assert obliged(tls("both.example")) == ("inspect", "none")
    assert obliged(tls("both.example", sni=None)) == ("inspect", "none")
    assert obliged(Connect("db.example", 5432, protocol="tls")) == ("passthrough", "none")
    assert obliged(Connect("shell.example", 22, protocol="ssh")) == ("inspect", "relay")


def test_remedies_are_yaml_that_allows_it(rules: Policy, policy: Callable[[str], Policy]) -> None:
    asked: list[Request] = [
        tls("other.example"),
        tls("other.example", port=8443),
        tls("8.8.8.8"),
        tls("2606:4700::1111"),
        Connect("other.example", 80, protocol="http"),
        Connect("other.example", 22, protocol="ssh"),
        Connect("other.example", 3306),
        Connect("other.example", 3306, address="10.0.0.7"),
        Connect("10.0.0.7", 3306, address="10.0.0.7"),
        https("POST", "other.example", "/x"),
    ]
    for request in asked:
        remedy = rules.decide(request, NOBODY).remedy
        assert remedy.startswith("add to network.rules: {name: ")
        assert remedy.endswith("} (test.yaml)")
        rule = remedy.removeprefix("add to network.rules: ").removesuffix(" (test.yaml)")
        mended = policy(f"network: {{rules: [{rule}]}}")
        assert mended.decide(request, NOBODY).action == "allow", remedy


def test_guards_set_to_alert_let_it_pass_with_a_warning(policy: Callable[[str], Policy]) -> None:
    alert = policy(RULES + "guards: {mining: alert, tunnels: alert, private-addresses: alert}\n")
    cases: list[tuple[Request, str, str]] = [
        (tls("api.example", findings=(MINING,)), "api", "guards.mining is set to alert"),
        (https("GET", "api.example", upgrade="derp"), "api", "guards.tunnels is set to alert"),
        (tls("api.example", address="10.0.0.1"), "api", "guards.private-addresses is set to alert"),
        (Connect("db.example", 5432, protocol="socks"), "db", "guards.tunnels is set to alert"),
    ]
    for request, rule, said in cases:
        verdict = alert.decide(request, NOBODY)
        assert (verdict.action, verdict.rule) == ("allow", rule)
        assert verdict.severity is Severity.WARNING
        assert said in verdict.reason
    metadata = alert.decide(tls("api.example", address="169.254.169.254"), NOBODY)
    assert (metadata.action, metadata.severity) == ("deny", Severity.CRITICAL)
    both = alert.decide(tls("api.example", findings=(MINING, MISMATCH)), NOBODY)
    assert both.rule == "guards.protocol-mismatch"
    assert "guards.mining is set to alert" in both.reason


def test_observe_denies_without_enforcing(policy: Callable[[str], Policy]) -> None:
    observing = policy("mode: observe\n" + RULES)
    denied = observing.decide(tls("other.example"), NOBODY)
    assert (denied.action, denied.enforced, denied.allowed) == ("deny", False, True)
    assert observing.decide(tls("api.example"), NOBODY).enforced


def test_sources_name_file_and_line(rules: Policy) -> None:
    assert rules.decide(tls("api.example"), NOBODY).source == "test.yaml:6"
    assert rules.decide(tls("other.example"), NOBODY).source == "test.yaml"


def test_the_order_of_rules_never_matters(rules: Policy) -> None:
    turned = rules.resolved.model_copy(update={"rules": rules.resolved.rules[::-1]})
    other = Policy(turned)
    for request in [*(each[0] for each in ALLOWED), *(each[0] for each in DENIED)]:
        expected = replace(rules.decide(request, NOBODY), policy_digest="")
        assert replace(other.decide(request, NOBODY), policy_digest="") == expected


# The index against a model that tries every rule on every request.

LABELS = st.sampled_from(["a", "b", "c.a", "b.c.a", "8.8.4.4", "8.8.8.8"])
PATTERNS = st.sampled_from(["a", "b", "*.a", "c.a", "*.c.a", "8.8.0.0/16", "8.8.4.4"])
RULE = st.builds(
    lambda name, action, kind, hosts, ports, programs: ResolvedRule(
        name=name, action=action, kind=kind if action == "deny" or kind != "any" else "https",
        hosts=tuple(hosts), ports=tuple(ports) if ports or action == "deny" else (443,),
        programs=tuple(programs), source="x.yaml:1",
    ),
    st.text("abcdef", min_size=3, max_size=5),
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["https", "http", "ssh", "tcp", "any"]),
    st.lists(PATTERNS, min_size=1, unique=True),
    st.lists(st.sampled_from([22, 80, 443]), unique=True),
    st.lists(st.sampled_from(["*/git", "/bin/*"]), max_size=1),
)  # fmt: skip
ASKED = st.builds(
    lambda host, port, protocol: Connect(host, port, protocol=protocol),
    LABELS,
    st.sampled_from([22, 80, 443]),
    st.sampled_from(["tls", "http", "ssh", "unknown", "json-rpc"]),
)


def _names(pattern: str, host: str) -> bool:
    return parse_host(pattern).covers(parse_host(host))


def _slow(rules: list[ResolvedRule], request: Connect, program: str) -> str:
    asked = Asked(request.host, request.port, request.protocol, program)
    named = [rule for rule in rules if any(_names(host, request.host) for host in rule.hosts)]
    if any(Rule(rule).denies(asked) for rule in named if rule.action == "deny"):
        return "deny"
    allows = [rule for rule in named if rule.action == "allow" and Rule(rule).allows(asked)]
    return "allow" if allows else "deny"


@given(st.lists(RULE, max_size=8), ASKED, st.sampled_from(["", "/usr/bin/git", "/bin/sh"]))
def test_decisions_agree_with_a_slow_model(
    rules: list[ResolvedRule], request_: Connect, program: str
) -> None:
    resolved = Resolved(name="x", mode="enforce", names={}, guards={}, rules=tuple(rules))
    verdict = Policy(resolved).decide(request_, by(program) if program else NOBODY)
    assert verdict.action == _slow(rules, request_, program)


TEXT = st.text(max_size=40) | st.sampled_from(["api.example", "a.cdn.example", "::1", "10.0.0.1"])
MAYBE = st.none() | TEXT
FINDINGS = st.lists(st.sampled_from([MINING, TUNNEL, MISMATCH]), max_size=2).map(tuple)
PROTOCOLS = st.sampled_from(get_args(Protocol.__value__))
ANYTHING = st.one_of(
    st.builds(
        Connect, TEXT, st.integers(), st.sampled_from(["tcp", "udp"]), PROTOCOLS, MAYBE,
        st.just(()), MAYBE, FINDINGS,
    ),
    st.builds(
        HttpRequest, TEXT, st.sampled_from(["http", "https"]), TEXT, st.integers(), TEXT, TEXT,
        MAYBE, TEXT, MAYBE, FINDINGS,
    ),
    st.builds(Resolve, TEXT, TEXT, FINDINGS),
)  # fmt: skip
EVERYTHING = Policy(
    Resolved(
        name="x",
        mode="enforce",
        names={},
        guards={},
        rules=(
            ResolvedRule(name="a", action="allow", kind="https", hosts=("api.example",),
                         ports=(443,), requests=({"path": "/a/**"},), source="x:1"),  # type: ignore[arg-type]
            ResolvedRule(name="b", action="deny", kind="any", hosts=("*.example", "::/0"), ports=(),
                         requests=({"path": "/b/**"},), source="x:2"),  # type: ignore[arg-type]
            ResolvedRule(name="c", action="allow", kind="tcp", hosts=("a.cdn.example", "0.0.0.0/0"),
                         ports=(443,), source="x:3"),
        ),
    )
)  # fmt: skip


@given(ANYTHING, TEXT)
def test_deciding_never_raises(request_: Request, program: str) -> None:
    verdict = EVERYTHING.decide(request_, by(program))
    assert isinstance(verdict, Verdict)
    assert verdict.reason.isprintable()
    assert verdict.remedy.isprintable()


def test_what_clients_send_is_shown_harmlessly() -> None:
    denied = EVERYTHING.decide(Connect("x\x1b[2J" + "y" * 5000, 443), by("/bin/\x07"))
    assert denied.reason.startswith("no rule allows x\\x1b[2jyyy")
    assert len(denied.reason) < 2000


# Speed. The limits are ten times what an idle machine needs; -s shows the medians.


def _p50(policy: Policy, request: Request) -> float:
    actor = by("/usr/bin/git")
    samples = []
    for _ in range(3000):
        started = perf_counter()
        policy.decide(request, actor)
        samples.append(perf_counter() - started)
    return median(samples) * 1e6


@pytest.mark.parametrize(("rules", "hosts"), [(10, 10), (10, 10_000), (1000, 10_000)])
def test_deciding_is_fast(rules: int, hosts: int) -> None:
    each = hosts // rules
    documents = tuple(
        ResolvedRule(
            name=f"rule-{rule}", action="allow", kind="https", ports=(443,), source="x.yaml:1",
            hosts=(*(f"h{host}.r{rule}.example" for host in range(each)), f"*.w{rule}.example"),
            requests=({"method": "GET", "path": "/*/*"},),  # type: ignore[arg-type]
        )
        for rule in range(rules)
    )  # fmt: skip
    policy = Policy(Resolved(name="x", mode="enforce", names={}, guards={}, rules=documents))
    cases: dict[str, Request] = {
        "connect": tls("h0.r5.example", address="8.8.8.8"),
        "wildcard": tls("a.b.w5.example", address="8.8.8.8"),
        "request": https("GET", "h0.r5.example", "/o/r?x=1"),
        "no rule": tls("other.example"),
        "near miss": https("POST", "h0.r5.example", "/o/r"),
    }
    for name, request in cases.items():
        took = _p50(policy, request)
        print(f"{rules} rules, {hosts} hosts, {name}: p50 {took:.1f} us")
        assert took < 150


def test_a_remembered_verdict_is_that_of_the_same_connection_and_program(
    policy: Callable[[str], Policy],
) -> None:
    rules = policy(RULES)
    for _ in range(2):
        assert rules.decide(tls("tool.example"), by("/usr/bin/git")).allowed
        assert "only for programs" in rules.decide(tls("tool.example"), by("/bin/sh")).reason
        assert not rules.decide(tls("tool.example", sni="x.example"), by("/usr/bin/git")).allowed
        assert not rules.decide(tls("tool.example", findings=(TUNNEL,)), by("/usr/bin/git")).allowed
    again = [rules.decide(tls("tool.example"), by("/usr/bin/git")) for _ in range(2)]
    assert again[0] is again[1]
