"""Explanations, and the commands around them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.policy import app
from firewall.policy import Policy
from firewall.policy.errors import Fault
from firewall.policy.explain import explain, steps_of
from tests.unit.policy.conftest import READER, Machine

RULES = """
network:
  rules:
    - {name: git, allow: https, hosts: [git.example], methods: [GET], reason: to read code}
    - {name: net, allow: tcp, hosts: ["8.8.0.0/16"], ports: [53]}
    - {name: never, deny: any, hosts: ["*.example"], ports: [81]}
    - {name: packages, allow: https, hosts: {from: [npm]}}
"""


@pytest.fixture
def rules(machine: Machine, policy: Callable[[str], Policy]) -> Policy:
    machine.npm({"registry": "https://npm.example/"})
    return policy(RULES)


def _whys(policy: Policy, text: str) -> dict[str, tuple[bool, str]]:
    considered = explain(policy, text, READER).considered
    return {each.rule.name: (each.applies, each.why) for each in considered}


def test_every_rule_is_considered(rules: Policy) -> None:
    assert _whys(rules, "POST https://git.example/x") == {
        "git": (False, "rule git allows GET; this is POST /x"),
        "net": (False, "its hosts do not include git.example"),
        "never": (False, "denies something else"),
        "packages": (False, "its hosts do not include git.example"),
    }
    assert _whys(rules, "https://git.example/x")["git"] == (True, "allows it")
    assert _whys(rules, "tcp 8.8.4.4:53")["net"] == (True, "allows it")
    assert _whys(rules, "tcp git.example:81")["never"] == (True, "denies it")
    assert _whys(rules, "ssh git@git.example")["git"][1] == "SSH on port 22; rule git allows https"
    assert _whys(rules, "dns git.example TXT") == {}


def test_the_verdict_is_the_policys(rules: Policy) -> None:
    assert explain(rules, "GET https://git.example/", READER).verdict.rule == "git"
    assert explain(rules, "dns git.example TXT", READER).verdict.rule == "names"


@pytest.mark.parametrize("text", ["", "GET", "ftp://x/", "tcp x", "ssh", "GET https://a b/"])
def test_what_is_no_request(rules: Policy, text: str) -> None:
    with pytest.raises(Fault, match="is not a"):
        explain(rules, text, READER)


@pytest.fixture
def file(rules: Policy) -> str:
    return str(rules.sources[-1])


def test_command_check(file: str, tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["check", file])
    assert (good.exit_code, good.stdout[:3]) == (0, "ok ")
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nnam: x\n")
    result = CliRunner().invoke(app, ["check", file, str(bad)])
    assert result.exit_code == 1
    assert f"{bad}:2: unknown key 'nam'; write: name (did you mean it?)\n" in result.stderr


def test_command_test(file: str) -> None:
    beside = Path(file).with_suffix(".test.yaml")
    missing = CliRunner().invoke(app, ["test", file])
    assert missing.exit_code == 1
    assert "there are no tests yet; write: cases:" in missing.stderr
    beside.write_text('cases:\n  - {https: "GET https://git.example/", expect: allow}\n')
    passed = CliRunner().invoke(app, ["test", file])
    assert (passed.exit_code, "1 of 1 cases pass" in passed.stdout) == (0, True)
    beside.write_text('cases:\n  - {https: "GET https://git.example/", expect: deny}\n')
    failed = CliRunner().invoke(app, ["test", file])
    assert failed.exit_code == 1
    assert "expected: deny\n  got:      allow by rule git (test.yaml:6)" in failed.stderr


def test_command_explain(file: str) -> None:
    result = CliRunner().invoke(app, ["explain", "POST https://git.example/x", "--policy", file])
    assert result.exit_code == 0
    assert "deny POST https://git.example/x" in result.stdout
    assert "rule git allows GET; this is POST /x" in result.stdout
    assert "add POST to methods of rule git (test.yaml:6)" in result.stdout
    assert "https://npm.example" in result.stdout
    assert "to read code" in result.stdout


def test_command_explain_without_a_request(file: str) -> None:
    result = CliRunner().invoke(app, ["explain", "what", "--policy", file])
    assert result.exit_code == 2
    assert "'what' is not a request" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "GET https://bücher.example/x",
        "https://BÜCHER.example/x",
        "tcp bücher.example:5432",
        "ssh git@bücher.example ls",
        "dns bücher.example TXT",
    ],
)
def test_a_name_that_is_not_in_its_normal_form_is_told_as_it_is_written(text: str) -> None:
    with pytest.raises(Fault, match=r"not in its normal form; write: xn--bcher-kva\.example$"):
        steps_of(text)


@pytest.mark.parametrize("host", ["a..b", "127.1", "-a.example", "*.example.com", "straße.example"])
def test_what_is_no_name_is_told(host: str) -> None:
    for text in (f"https://{host}/", f"tcp {host}:1", f"ssh me@{host}", f"dns {host}"):
        with pytest.raises(Fault, match=f"'{re.escape(host)}' is not a host name"):
            steps_of(text)


def test_command_schema() -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    assert schema["required"] == ["version", "name"]
    assert "private-addresses" in schema["$defs"]["GuardsDocument"]["properties"]
    assert schema["additionalProperties"] is False
    assert "execute-from" in schema["$defs"]["ShellDocument"]["properties"]
    assert "where" in schema["$defs"]["ToolRule"]["properties"]
    assert "after" in schema["$defs"]["ProgramRule"]["properties"]


ACTS = """
shell:
  rules:
    - {name: no-doors, deny: [nc], arguments: ["-l*"]}
    - {name: no-run, deny: [x], after: {did: download, same: file}}
tools:
  rules:
    - {name: no-key, deny: [Read], where: {"$.file_path": {glob: "*.key"}}}
"""


def test_rules_about_programs_and_tools_are_considered(policy: Callable[[str], Policy]) -> None:
    acts = policy(ACTS)
    assert _whys(acts, "shell: ls ; nc -l") == {
        "no-doors": (True, "denies nc -l"),
        "no-run": (False, "ls: its programs do not fit; nc -l: its programs do not fit"),
        "no-key": (False, "tools does not fit"),
    }
    assert _whys(acts, "exec: /bin/nc -z 'a b'") == {
        "no-doors": (False, "/bin/nc -z a b: its arguments do not fit"),
        "no-run": (False, "/bin/nc -z a b: its programs do not fit"),
    }
    why = "denies /src/x, but only after a download"
    assert _whys(acts, "exec: /src/x")["no-run"] == (False, why)
    assert _whys(acts, 'tool: Read {"file_path": "a.key"}')["no-key"] == (
        True,
        "denies Read",
    )
    assert _whys(acts, 'tool: Read {"file_path": "a"}')["no-key"] == (
        False,
        "$.file_path does not fit",
    )
    assert _whys(acts, "tool: Read")["no-doors"] == (False, "nothing is run")
    assert explain(acts, "shell: nc -l", READER).verdict.rule == "no-doors"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("shell:", "asks for nothing; write: 'shell: git push origin main'"),
        ("exec: 'a", "is no command line"),
        ("tool: Read {", "is no JSON object"),
        ("tool: Read []", "is no JSON object"),
    ],
)
def test_what_is_no_program_or_tool(rules: Policy, text: str, error: str) -> None:
    with pytest.raises(Fault, match=error):
        explain(rules, text, READER)


def test_the_command_explains_programs_and_tools(file: str) -> None:
    Path(file).write_text(f"version: 1\nname: test\n{ACTS}")
    result = CliRunner().invoke(app, ["explain", "exec: /usr/bin/nc -l 1", "--policy", file])
    assert result.exit_code == 0
    assert "deny exec: /usr/bin/nc -l 1" in result.stdout
    assert "narrow or remove rule no-doors" in result.stdout
    tool = 'tool: Read {"file_path": "/a.key"}'
    assert "no-key" in CliRunner().invoke(app, ["explain", tool, "--policy", file]).stdout
    assert "3 rules" in CliRunner().invoke(app, ["check", file]).stdout


BODIES = """
network:
  rules:
    - {name: api, allow: https, hosts: [api.example], requests: [{graphql: {fields: [viewer]}}]}
"""


def test_a_body_is_explained(policy: Callable[[str], Policy], tmp_path: Path) -> None:
    policy(BODIES)
    asked = ["explain", "POST https://api.example/", "-p", str(tmp_path / "test.yaml"), "--body"]

    def said(body: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*asked, body], env={"COLUMNS": "300"})
        return result.exit_code, result.output

    assert said('{"query": "{ viewer }"}')[1].startswith("allow POST https://api.example/")
    status, denied = said('{"query": "{ users }"}')
    assert (status, denied.count("this is POST / (query users)")) == (0, 2)
    status, told = said("query")
    assert status == 2
    assert "a rule could judge: it is no plain JSON" in told


def test_a_body_needs_http_and_a_rule(policy: Callable[[str], Policy]) -> None:
    for text, what in (
        ("dns a.example", "only a request over HTTP has a body"),
        ("POST https://b.example/", "no rule for b.example judges bodies"),
    ):
        with pytest.raises(Fault, match=what):
            explain(policy(BODIES), text, READER, body='{"query": "{ x }"}')
