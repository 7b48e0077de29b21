"""What differs between two policies, and the command that tells it."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.audit import AuditLog
from firewall.cli.policy import app
from firewall.policy import Policy
from firewall.policy.difference import Difference, Term, differences
from firewall.policy.resolved import Resolved
from tests.unit.policy.records import get, record

type Write = Callable[[str], Policy]

OLD = """
mode: observe
network:
  rules:
    - {name: web, allow: https, hosts: [a.test, b.test], methods: [GET, HEAD]}
    - {name: gone, allow: https, hosts: [c.test]}
    - {name: box, allow: ssh, hosts: [box.test], commands: ["ls", "cat *"]}
shell: {rules: [{name: no-nc, deny: [nc, ncat]}]}
"""
MOVED = """
shell:
  rules:
    - name: no-nc
      deny: [ncat, nc]
network:
  rules:
    - {name: gone, allow: https, hosts: [c.test]}
    - {name: box, allow: ssh, hosts: [box.test], commands: ["cat *", "ls"]}
    - {name: web, allow: https, hosts: [b.test, a.test], methods: [HEAD, GET]}
mode: observe
"""
NEW = """
network:
  rules:
    - {name: web, allow: https, hosts: [a.test, d.test], methods: [GET, HEAD], ports: [443, 8443]}
    - {name: box, allow: ssh, hosts: [box.test], commands: ["ls"], shell: true}
    - {name: fresh, deny: any, hosts: [e.test]}
shell: {default: deny, rules: [{name: no-nc, deny: [nc, ncat]}]}
guards: {mining: alert}
"""


def test_order_and_layout_never_matter(policy: Write) -> None:
    assert differences(policy(OLD), policy(MOVED)) == ()


def test_what_differs(policy: Write) -> None:
    found = {each.part: each for each in differences(policy(OLD), policy(NEW))}
    assert {part: each.change for part, each in found.items()} == {
        "policy": "changed",
        "guard mining": "changed",
        "network rule web": "changed",
        "network rule gone": "removed",
        "network rule box": "changed",
        "network rule fresh": "added",
        "shell": "changed",
    }
    assert found["policy"].terms == (Term("mode", ("observe",), ("enforce",)),)
    assert found["network rule web"].terms == (
        Term("hosts", ("b.test",), ("d.test",)),
        Term("ports", (), (8443,)),
    )
    assert found["network rule box"].terms == (
        Term("ssh.commands", ("cat *",), ()),
        Term("ssh.shell", (), (True,)),
    )
    assert found["guard mining"] == Difference(
        "guard mining", "changed", (Term("action", ("block",), ("alert",)),)
    )
    assert Term("hosts", ("c.test",), ()) in found["network rule gone"].terms


class TestCommand:
    @pytest.fixture
    def files(self, policy: Write, tmp_path: Path) -> tuple[str, str]:
        """The old policy and the new one, as files."""
        names = []
        for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
            policy(text)
            names.append(str((tmp_path / "test.yaml").rename(tmp_path / name)))
        return names[0], names[1]

    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["diff", *arguments])
        return result.exit_code, result.output

    def test_for_people(self, files: tuple[str, str]) -> None:
        code, output = self.run(*files)
        assert code == 0
        assert "~ network rule web: changed\n    - hosts: b.test\n    + hosts: d.test" in output
        assert "+ network rule fresh: added" in output

    def test_the_same(self, files: tuple[str, str]) -> None:
        same = self.run(files[0], files[0], "--fail-on-change")
        assert same == (0, "the rules are the same\n")
        assert self.run(*files, "--fail-on-change")[0] == 1

    def test_over_a_log(self, files: tuple[str, str], policy: Write, tmp_path: Path) -> None:
        seen = record(1, get("b.test"), policy(OLD))
        log = AuditLog(tmp_path / "log", "gate-0")
        log.append({key: seen[key] for key in ("kind", "request", "verdict", "actor")})
        log.close()
        code, output = self.run(*files, "--log", str(tmp_path / "log"), "--json")
        found = json.loads(output)
        assert code == 0
        assert {"part": "policy", "change": "changed"}.items() <= found["rules"][0].items()
        (group,) = found["requests"]["groups"]
        assert (group["before"]["rule"], group["after"]["rule"]) == ("web", "default")


RICH = """
network:
  names: {a.test: 127.0.0.1}
  limits: {requests: 100/h}
  rules:
    - name: api
      allow: https
      hosts: [a.test]
      requests: [{method: POST, graphql: {operations: [query], fields: [x]}}, {s3: {endpoint: s.x}}]
      inject: [{header: x-api-key, from: "env:KEY"}]
      valid: {until: 2027-01-01}
      labels: {env: ci}
      programs: ["*/x"]
      owner: me
      reason: why
      limits: {sent: 5MB/h, per: host}
    - name: box
      allow: ssh
      hosts: [b.test]
      users: [u]
      commands: [ls]
      env: []
      files: {read: [/x]}
      forwarding: {local: ["db.test:1"]}
      login: {key: ~/.ssh/k}
      limits: {sent: 1MB}
    - {name: late, deny: https, hosts: [c.test], after: {did: upload}}
shell:
  default: ask
  opaque: ask
  execute-from: [/usr]
  rules:
    - {name: once, allow: [git], exactly: {arguments: [a], directory: /src}}
    - {name: some, deny: [x], arguments: ["a*"], intents: [download], directories: [/x]}
tools:
  default: deny
  commands: {T: cmd}
  rules:
    - {name: where, allow: [T], where: {"$.a": false, "$.b": {max: 0}}}
    - {name: call, allow: [U], exactly: {arguments: {x: null}}}
gpu: {expect: [{name: w, program: "*/python*"}], alert: {baseline-shift: {respond: nothing}}}
secrets: {files: [.env], homes: {gitlab: [git.a.test]}}
audit: {redact: {headers: [x-y]}}
"""
_UNTOLD = {"source", "default_source", "opaque_source"}
"""Where things are written."""


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all that can be changed by itself."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value[:2])
        for key, each in items:
            yield from _leaves(each, (*path, key))


def _changed(body: Any, path: tuple[str | int, ...], drop: bool) -> str:
    """The policy's text with another value at a place, or none."""
    whole = deepcopy(body)
    place = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = None if drop else _other(place[path[-1]])
    return json.dumps(whole)


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}x"
    return None


def test_whatever_decides_is_told_where_it_differs(policy: Write) -> None:
    """Every value of a policy is changed, one by one: what another digest comes of is told."""
    rich = policy(RICH)
    body, tried = json.loads(rich.dump()), 0
    for path in _leaves(body):
        if not path or path == ("name",) or (path[-1] in _UNTOLD and "inject" not in path):
            continue
        for drop in (False, True):
            try:
                other = Policy.parse(_changed(body, path, drop))
            except ValueError:
                continue
            moved = path[-1] == "where" and path[0] == "rules"
            if other.digest != rich.digest and not moved:
                assert differences(rich, other), path
                tried += 1
    assert tried > 100


def test_every_part_that_there_is_was_thought_of() -> None:
    """A new part of policies is told by `differences`, or stands for nothing that decides."""
    told = {"mode", "names", "guards", "rules", "limits", "shell", "tools", "gpu", "lists"}
    told |= {"watched", "redaction"}
    untold = {"name", "labels", "version", "signers", "sources", "learned", "notes"}
    assert set(Resolved.model_fields) == told | untold


def test_a_secret_on_another_line_is_the_same(policy: Write) -> None:
    assert differences(policy(RICH), policy(f"# moved\n{RICH}")) == ()


def test_requests_are_told_without_what_they_do_not_say(policy: Write) -> None:
    (found,) = differences(policy(RICH), policy(RICH.replace("fields: [x]", "fields: [x, y]")))
    (term,) = found.terms
    api = {"operations": ["query"], "fields": ["x", "y"]}
    assert term.added == ({"method": "POST", "graphql": api},)
