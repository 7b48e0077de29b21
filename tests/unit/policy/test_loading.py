"""Files, presets, extends, hosts from tools, and the resolved form."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.loading import presets
from firewall.requests import Connect
from tests.unit.policy.conftest import Machine

NOBODY = Actor(sandbox="test")
RULE = "network: {{rules: [{{name: {0}, allow: https, hosts: [{0}.example]}}]}}\n"


def _write(folder: Path, name: str, extends: str, body: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"version: 1\nname: {name}\nextends: {extends}\n{body}")
    return path


def test_presets_by_name_and_by_path(machine: Machine) -> None:
    machine.pip({})
    assert presets() == ["base", "coding-agent", "locked-down", "rl-training"]
    for name in presets():
        by_name = load_policy(name)
        assert by_name.name == name
        assert by_name.digest == load_policy(by_name.sources[-1]).digest
        assert by_name.sources[0].name == "base.yaml"


def test_extends_merges_each_file_once(tmp_path: Path) -> None:
    _write(tmp_path, "top", "[base]", "mode: observe\nguards: {mining: alert, tunnels: alert}\n")
    _write(tmp_path, "left", "[./top.yaml]", RULE.format("left"))
    _write(tmp_path, "right", "[./top.yaml]", RULE.format("right"))
    path = _write(
        tmp_path,
        "all",
        "[./left.yaml, ./right.yaml]",
        "guards: {mining: block}\n" + RULE.format("own"),
    )
    policy = load_policy(path)
    assert [rule.name for rule in policy.resolved.rules] == ["left", "right", "own"]
    assert [source.stem for source in policy.sources] == ["base", "top", "left", "right", "all"]
    guards = policy.resolved.guards
    assert (guards["mining"].action, guards["mining"].source) == ("block", "all.yaml:4")
    assert (guards["tunnels"].action, guards["tunnels"].source) == ("alert", "top.yaml:5")
    assert guards["private-addresses"].source == "base.yaml:17"
    assert policy.mode == "enforce", "observing is never inherited"


def test_the_last_file_that_says_what_follows_a_critical_block_decides(tmp_path: Path) -> None:
    _write(tmp_path, "strict", "[base]", "guards: {on-critical: freeze}\n")
    child = _write(tmp_path, "child", "[./strict.yaml]", "guards: {on-critical: quarantine}\n")
    policy = load_policy(child)
    guard = policy.resolved.guards["on-critical"]
    assert (guard.action, guard.source) == ("quarantine", "child.yaml:4")
    assert policy.on_critical == "quarantine"
    assert Policy.parse(policy.dump()).on_critical == "quarantine"
    silent = _write(tmp_path, "silent", "[./strict.yaml, base]", RULE.format("one"))
    assert load_policy(silent).on_critical == "freeze", "a file that says nothing changes nothing"
    digests = {load_policy(tmp_path / f"{each}.yaml").digest for each in ("strict", "child")}
    assert len(digests) == 2, "the digest covers it"


def test_a_critical_block_is_an_alert_by_default_and_wherever_nothing_is_blocked(
    tmp_path: Path,
) -> None:
    assert load_policy("base").on_critical == "alert"
    path = _write(tmp_path, "seen", "[base]", "mode: observe\nguards: {on-critical: freeze}\n")
    assert load_policy(path).on_critical == "alert"


def test_duplicate_rules_are_found_across_files(tmp_path: Path) -> None:
    _write(tmp_path, "parent", "[]", RULE.format("one"))
    path = _write(tmp_path, "child", "[./parent.yaml]", RULE.format("one"))
    with pytest.raises(
        PolicyError, match=r"child.yaml:4: the rule name one is taken by parent.yaml:4"
    ):
        load_policy(path)


def test_extends_in_a_longer_circle(tmp_path: Path) -> None:
    _write(tmp_path, "a", "[./b.yaml]", "")
    path = _write(tmp_path, "b", "[./a.yaml]", "")
    with pytest.raises(PolicyError, match=r"in a circle: b.yaml -> a.yaml -> b.yaml"):
        load_policy(path)


def test_dump_and_parse_are_inverse(machine: Machine) -> None:
    machine.pip({"global.index-url": "https://mirror.example:8443/simple"})
    policy = load_policy("coding-agent")
    again = Policy.parse(policy.dump())
    assert (again.digest, again.dump()) == (policy.digest, policy.dump())
    assert (again.sources, again.notes, again.names) == (policy.sources, policy.notes, policy.names)
    asked = Connect("mirror.example", 8443, protocol="tls", sni="mirror.example")
    assert again.decide(asked, NOBODY) == policy.decide(asked, NOBODY)
    with pytest.raises(ValueError, match="Invalid JSON"):
        Policy.parse("nonsense")


def test_the_digest_is_of_what_decides(policy: Callable[[str], Policy]) -> None:
    one = policy(RULE.format("one"))
    assert one.digest == policy(RULE.format("one") + "# a comment\n").digest
    assert one.digest != policy(RULE.format("two")).digest
    assert one.digest != policy(RULE.format("one") + "mode: observe\n").digest
    assert len(one.digest) == 64


def test_names_are_pinned(policy: Callable[[str], Policy]) -> None:
    assert policy("network: {names: {build.test: 127.0.0.1}}").names == {"build.test": "127.0.0.1"}


FROM = "network: {{rules: [{{name: packages, allow: {0}, hosts: {{from: {1}}}}}]}}\n"


def test_hosts_from_tools_have_the_ports_of_their_urls(
    machine: Machine, policy: Callable[[str], Policy]
) -> None:
    machine.npm({"registry": "https://npm.example/", "@a:registry": "https://npm.example:8443/"})
    loaded = policy(FROM.format("https", "[npm]"))
    rules = [(rule.name, rule.hosts, rule.ports) for rule in loaded.resolved.rules]
    host = ("npm.example",)
    assert rules == [("packages", host, (443,)), ("packages", host, (8443,))]
    learned = [(each.tool, each.url, each.why) for each in loaded.resolved.learned]
    assert learned == [
        ("npm", "https://npm.example", "npm's registry"),
        ("npm", "https://npm.example:8443", "npm's @a:registry"),
    ]


def test_a_missing_tool_is_a_note_when_another_answers(
    machine: Machine, policy: Callable[[str], Policy]
) -> None:
    machine.npm({"registry": "https://npm.example/"})
    assert policy(FROM.format("https", "[npm, cargo]")).notes == (
        "rule packages: cargo is not installed; it adds no hosts to the rule",
    )
    with pytest.raises(
        PolicyError, match=r"no hosts for rule packages: cargo is not installed; write"
    ):
        policy(FROM.format("https", "[cargo]"))


def test_programs_known_by_name_alone_are_noted(policy: Callable[[str], Policy]) -> None:
    rule = "network: {{rules: [{{name: git, allow: https, hosts: [a.example], programs: [{}]}}]}}"
    (note,) = policy(rule.format('"*/git", /usr/bin/curl')).notes
    assert note.startswith("rule git: programs */git mean any file of that name")
    assert policy(rule.format("/usr/bin/git")).notes == ()


def test_plain_mirrors_need_a_rule_of_their_own(
    machine: Machine, policy: Callable[[str], Policy]
) -> None:
    machine.npm({"registry": "http://npm.example/"})
    with pytest.raises(
        PolicyError, match=r"npm downloads from http://npm.example, .*; write: allow: http"
    ):
        policy(FROM.format("https", "[npm]"))
    plain = policy(FROM.format("http", "[npm]"))
    assert [(rule.kind, rule.ports) for rule in plain.resolved.rules] == [("http", (80,))]
    assert plain.notes == ()


def test_a_plain_rule_may_find_nothing_to_allow(
    machine: Machine, policy: Callable[[str], Policy]
) -> None:
    machine.npm({"registry": "https://npm.example/"})
    loaded = policy(FROM.format("http", "[npm]"))
    assert loaded.resolved.rules == ()
    assert "which is https, not http" in loaded.notes[0]


def test_ten_thousand_hosts_load(policy: Callable[[str], Policy]) -> None:
    hosts = ", ".join(f"h{number}.example" for number in range(10_000))
    loaded = policy(f"network: {{rules: [{{name: many, allow: https, hosts: [{hosts}]}}]}}")
    asked = Connect("h9999.example", 443, protocol="tls", sni="h9999.example")
    assert loaded.decide(asked, NOBODY).rule == "many"
