"""What differs between two policies, and the command that tells it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.audit import AuditLog
from firewall.cli.policy import app
from firewall.policy import Policy
from firewall.policy.difference import Difference, Term, differences
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
