"""Inside SSH: what each key of a rule allows, and what a person is told about the rest."""

from collections.abc import Callable
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.policy import Policy
from firewall.policy.channels import Channels
from firewall.policy.ssh import SshTerms
from firewall.requests import Connect, SshChannel, SshKind
from firewall.verdict import Verdict

NOBODY = Actor(sandbox="test")
RULES = """
network:
  rules:
    - name: git
      allow: ssh
      hosts: [git.example]
      users: [git]
      commands: ["git-upload-pack *", "make test && make lint", "uptime"]
    - name: box
      allow: ssh
      hosts: [box.example]
      shell: true
      subsystems: [netconf]
      env: ["APP_*"]
      forwarding: {local: ["db.internal:5432"]}
      files: {read: ["/data/**", "~/*.txt"], write: ["/data/in/*"]}
    - name: any
      allow: ssh
      hosts: [any.example]
      commands: ["*"]
      subsystems: [sftp]
    - {name: blind, allow: ssh, hosts: [blind.example], forwarding: trusted}
"""


@pytest.fixture
def rules(policy: Callable[[str], Policy]) -> Policy:
    return policy(RULES)


def ask(rules: Policy, place: str, kind: SshKind, detail: str = "") -> Verdict:
    user, _, host = place.partition("@")
    return rules.decide(SshChannel(host, 22, user, kind, detail), NOBODY)


ALLOWED: list[tuple[str, SshKind, str]] = [
    ("git@git.example", "login", "git"),
    ("git@git.example", "exec", "git-upload-pack 'o/r'"),
    ("git@git.example", "exec", "git-upload-pack --strict o/r"),
    ("git@git.example", "exec", "make test && make lint"),
    ("git@git.example", "exec", "uptime"),
    ("git@git.example", "env", "LC_ALL"),
    ("git@git.example", "env", "GIT_PROTOCOL"),
    ("me@box.example", "shell", ""),
    ("me@box.example", "pty", ""),
    ("me@box.example", "subsystem", "netconf"),
    ("me@box.example", "subsystem", "sftp"),
    ("me@box.example", "exec", "scp -t /data/in/x"),
    ("me@box.example", "env", "APP_MODE"),
    ("me@box.example", "local-forward", "db.internal:5432"),
    ("me@box.example", "read-file", "/data/a/b"),
    ("me@box.example", "read-file", "~/notes.txt"),
    ("me@box.example", "write-file", "/data/in/x"),
    ("me@any.example", "exec", "rm -rf / ; echo done"),
    ("me@any.example", "write-file", "/anywhere"),
]
DENIED: list[tuple[str, SshKind, str, str]] = [
    ("git@git.example", "exec", "git-upload-pack", "allows the commands git-upload-pack *"),
    ("git@git.example", "exec", "git-receive-pack o/r", "no rule allows the command git-rec"),
    ("git@git.example", "exec", "git-upload-pack 'o/r'; id", "no rule allows the command"),
    ("git@git.example", "exec", "git-upload-pack $(id)", "no rule allows the command"),
    ("git@git.example", "exec", "X=1 uptime", "no rule allows the command"),
    ("git@git.example", "exec", "uptime -s", "no rule allows the command"),
    ("git@git.example", "shell", "", "rule git allows no shell"),
    ("git@git.example", "pty", "", "rule git allows no terminal"),
    ("git@git.example", "subsystem", "sftp", "rule git allows the subsystems none"),
    ("git@git.example", "env", "LD_PRELOAD", "allows the variables LANG, LC_*, GIT_PROTOCOL"),
    ("root@git.example", "login", "root", "rule git allows the users git"),
    ("root@git.example", "exec", "uptime", "rule git allows the users git"),
    ("me@box.example", "env", "LANG", "rule box allows the variables APP_*"),
    ("me@box.example", "exec", "id", "rule box allows the commands none"),
    ("me@box.example", "local-forward", "db.internal:5433", "allows the forwards db.internal"),
    ("me@box.example", "local-forward", "10.0.0.1:5432", "allows the forwards db.internal"),
    ("me@box.example", "read-file", "/data/../etc/passwd", "rule box allows reading /data/**"),
    ("me@box.example", "read-file", "/etc/passwd", "rule box allows reading /data/**"),
    ("me@box.example", "read-file", "~/.ssh/id_rsa", "rule box allows reading"),
    ("me@box.example", "write-file", "/data/x", "rule box allows writing /data/in/*"),
    ("me@box.example", "remote-forward", "*:80", "no such thing, and no rule can"),
    ("me@box.example", "agent", "", "no such thing, and no rule can"),
    ("me@box.example", "x11", "", "no such thing, and no rule can"),
    ("me@box.example", "tun", "", "no such thing, and no rule can"),
    ("me@box.example", "unix-local-forward", "/run/s", "no such thing, and no rule can"),
    ("me@box.example", "limit", "more than 1 bytes", "no rule allows more than 1 bytes"),
    ("me@blind.example", "exec", "id", "no rule allows the command id"),
    ("me@other.example", "login", "me", "no rule allows a login as me at me@other.example"),
]


@pytest.mark.parametrize(("place", "kind", "detail"), ALLOWED)
def test_allowed(rules: Policy, place: str, kind: SshKind, detail: str) -> None:
    verdict = ask(rules, place, kind, detail)
    assert verdict.action == "allow", verdict.reason
    assert verdict.rule == place.partition("@")[2].partition(".")[0]


@pytest.mark.parametrize(("place", "kind", "detail", "reason"), DENIED)
def test_denied(rules: Policy, place: str, kind: SshKind, detail: str, reason: str) -> None:
    verdict = ask(rules, place, kind, detail)
    assert (verdict.action, verdict.rule) == ("deny", "default")
    assert reason in verdict.reason


REMEDIES: list[tuple[str, SshKind, str, str]] = [
    ("git@git.example", "exec", "bash -c 'x'", """add "bash -c 'x'" to commands of"""),
    ("git@git.example", "exec", "rm *", 'add "rm [*]" to commands of'),
    ("git@git.example", "exec", "rm 'a b' *", ""),
    ("git@git.example", "exec", "id", 'add "id" to commands of rule git (test.yaml:6)'),
    ("git@git.example", "exec", "a; b", 'add "a; b" to commands of'),
    ("git@git.example", "exec", "* x", ""),
    ("git@git.example", "shell", "", "write shell: true in rule git (test.yaml:6)"),
    ("root@git.example", "login", "root", 'add "root" to users of rule git'),
    ("me@box.example", "local-forward", "x:1", 'add "x:1" to forwarding.local of rule box'),
    ("me@box.example", "read-file", "/x", 'add "/x" to files.read of rule box'),
    ("git@git.example", "subsystem", "sftp", "write files: {read: [...], write: [...]} in rule"),
]


@pytest.mark.parametrize(("place", "kind", "detail", "remedy"), REMEDIES)
def test_a_person_is_told_what_to_change(
    rules: Policy, place: str, kind: SshKind, detail: str, remedy: str
) -> None:
    told = ask(rules, place, kind, detail).remedy
    assert told.startswith(remedy) if remedy else told == ""


WITHOUT_A_RULE: list[tuple[SshKind, str, str]] = [
    ("login", "me", "commands: ["),
    ("exec", "make test", 'commands: ["make test"]'),
    ("exec", "make test && rm -r *", 'commands: ["make test && rm -r *"]'),
    ("exec", 'rm "*" [a]', 'commands: ["rm [*] [[]a]"]'),
    ("shell", "", "shell: true"),
    ("pty", "", "shell: true"),
    ("subsystem", "netconf", 'subsystems: ["netconf"]'),
    ("subsystem", "sftp", "files: {read: [], write: []}"),
    ("env", "APP", 'env: ["APP"]'),
    ("local-forward", "db.internal:5432", 'forwarding: {local: ["db.internal:5432"]}'),
    ("read-file", "/data/x", 'files: {read: ["/data/x"]}'),
    ("write-file", "~/x", 'files: {write: ["~/x"]}'),
]


@pytest.mark.parametrize(("kind", "detail", "keys"), WITHOUT_A_RULE)
def test_without_a_rule_the_remedy_is_one_that_allows_this_and_no_more(
    rules: Policy, policy: Callable[[str], Policy], kind: SshKind, detail: str, keys: str
) -> None:
    remedy = ask(rules, "me@other.example", kind, detail).remedy
    rule = remedy.removeprefix("add to network.rules: ").removesuffix(" (test.yaml)")
    assert keys in rule
    assert 'users: ["me"]' in rule
    mended = policy(f"network: {{rules: [{rule}]}}")
    assert ask(mended, "me@other.example", kind, detail).action == "allow"
    for other, what in (("exec", "rm x y"), ("shell", "x"), ("read-file", "/etc/passwd")):
        allowed = ask(mended, "me@other.example", other, what).action == "allow"  # type: ignore[arg-type]
        assert allowed == (other == "shell" and kind in ("shell", "pty")), what


@pytest.mark.parametrize("kind", ["remote-forward", "unix-remote-forward", "tun", "x11", "agent"])
def test_without_a_rule_what_none_can_allow_is_told_so(rules: Policy, kind: SshKind) -> None:
    remedy = ask(rules, "me@other.example", kind, "x").remedy
    assert remedy == "nothing: no rule can allow this inside SSH"


def test_a_connection_says_who_takes_it(rules: Policy) -> None:
    def taken(host: str, protocol: str) -> str:
        return rules.decide(Connect(host, 22, protocol=protocol), NOBODY).obligations.ssh  # type: ignore[arg-type]

    assert taken("git.example", "ssh") == "gateway"
    assert taken("git.example", "silent") == "gateway"
    assert taken("blind.example", "ssh") == "relay"
    assert rules.decide(Connect("blind.example", 22, protocol="silent"), NOBODY).action == "deny"


def test_terms_have_their_defaults_written_out(rules: Policy) -> None:
    terms = rules.ssh_terms("git")
    assert terms is not None
    assert terms.limits.seconds == (3600, None)
    assert terms.limits.bytes == (None, None)
    assert terms.host_keys == "known"
    assert rules.ssh_terms("blind") is None
    assert Policy.parse(rules.dump()).ssh_terms("git") == terms


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [
        ({"commands": ("ls",)}, False),
        ({"shell": True}, False),
        ({"commands": ("ls", "s?p *")}, True),
        ({"subsystems": ("sftp",)}, True),
    ],
)
def test_files_need_a_way_to_ask_for_them(keys: dict[str, Any], allowed: bool) -> None:
    asked = SshChannel("box.test", 22, "me", "read-file", "/x")
    assert Channels(SshTerms(**keys)).covers(asked) is allowed
