"""Lists of names: what their lines mean, what is on them, and how a policy names them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.actor import Actor
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.lists import Listed, read_list
from firewall.policy.loading import LISTS
from firewall.policy.resolved import ResolvedList
from firewall.requests import Connect, HttpRequest, Resolve
from firewall.verdict import Severity

NOBODY = Actor("test")
RULES = """
version: 1
name: test
lists: {mining: [pools.txt], tunnels: [brokers.txt]}
network: {rules: [{name: all, allow: https, hosts: ["*.example", "*.test", 192.0.2.7]}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pools.txt").write_text("# pools\npool.example  # one host of theirs\n")
    (tmp_path / "brokers.txt").write_text("=eu.broker.test\n0.0.0.0 hosts.form.test localhost\n")
    (tmp_path / "policy.yaml").write_text(RULES)
    return tmp_path


def test_what_lines_mean(folder: Path) -> None:
    path = folder / "list.txt"
    path.write_text(
        "\n# comment\nA.B.Example.Co.UK.\n=x.y.example.com\nme.github.io\ntrycloudflare.com\n"
        "127.0.0.1 localhost one.test\n"
    )
    assert read_list(path, "mining").domains == {
        "example.co.uk": 3,
        "x.y.example.com": 4,
        "me.github.io": 5,
        "trycloudflare.com": 6,
        "one.test": 7,
    }


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("com", "com is no one's domain"),
        ("=co.uk", "co.uk is no one's domain"),
        ("two words.example", "'two words.example' is more than a name"),
        ("https://pool.example/", "'https://pool.example/' is a URL"),
        ("*.pool.example", "wildcard"),
        ("1.2.3.4", "'1.2.3.4' is not a host name"),
    ],
)
def test_faults_name_their_line(folder: Path, line: str, what: str) -> None:
    path = folder / "list.txt"
    path.write_text(f"fine.example\n{line}\n")
    with pytest.raises(PolicyError) as caught:
        read_list(path, "mining")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(path), 2)
    assert what in problem.what


def test_a_list_that_is_not_there(policy: Callable[[str], Policy]) -> None:
    with pytest.raises(PolicyError, match=r":3: there is no list 'pools'"):
        policy("lists: {mining: [pools]}\n")
    with pytest.raises(PolicyError, match=r":3: there is no file .*pools\.txt"):
        policy("lists: {mining: [./pools.txt]}\n")


DENIED = [
    (Connect("a.b.pool.example", 443, protocol="tls"), "mining", "pools.txt:2"),
    (Connect("pool.example", 3333), "mining", "pools.txt:2"),
    (Connect("other.pool.example", 443, transport="udp"), "mining", "pools.txt:2"),
    (Connect("192.0.2.7", 443, protocol="tls", sni="x.pool.example"), "mining", "pools.txt:2"),
    (HttpRequest("GET", "https", "192.0.2.7", 443, "/", "pool.example"), "mining", "pools.txt:2"),
    (Connect("x.eu.broker.test", 443, protocol="tls"), "tunnels", "brokers.txt:1"),
    (Connect("form.test", 443, protocol="tls"), "tunnels", "brokers.txt:2"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "guard", "where"), DENIED)
def test_denied_by_the_guard_and_the_line(
    folder: Path, request_: Connect | HttpRequest, guard: str, where: str
) -> None:
    verdict = load_policy(folder / "policy.yaml").decide(request_, NOBODY)
    assert (verdict.action, verdict.rule, verdict.source) == ("deny", f"guards.{guard}", where)
    assert f"is on a list of names for guards.{guard} ({where})" in verdict.reason
    assert verdict.severity is Severity.CRITICAL
    assert f"lists.{guard}" in verdict.remedy


@pytest.mark.parametrize(
    "host", ["us.broker.test", "mypool.example", "example", "pool.example.test"]
)
def test_others_are_not(folder: Path, host: str) -> None:
    verdict = load_policy(folder / "policy.yaml").decide(Connect(host, 443, protocol="tls"), NOBODY)
    assert verdict.rule in ("all", "default", "guards.name-mismatch")


def test_a_question_for_a_listed_name_is_answered_and_marked(folder: Path) -> None:
    """The firewall's own address leads to the refusal that explains itself."""
    verdict = load_policy(folder / "policy.yaml").decide(Resolve("x.pool.example", "A"), NOBODY)
    assert (verdict.action, verdict.severity) == ("allow", Severity.WARNING)
    assert "the name is on a list for guards.mining (pools.txt:2)" in verdict.reason


def test_a_guard_that_alerts_lets_pass(folder: Path) -> None:
    path = folder / "policy.yaml"
    path.write_text(RULES + "guards: {mining: alert}\n")
    verdict = load_policy(path).decide(
        Connect("a.pool.example", 443, protocol="tls", sni="a.pool.example"), NOBODY
    )
    assert (verdict.action, verdict.rule) == ("allow", "all")
    assert "pools.txt:2" in verdict.reason


def test_the_last_policy_that_names_lists_decides(folder: Path) -> None:
    child = folder / "child.yaml"
    child.write_text("version: 1\nname: child\nextends: [./policy.yaml]\nlists: {mining: []}\n")
    lists = load_policy(child).resolved.lists
    assert [(each.guard, each.name) for each in lists] == [("tunnels", "brokers.txt")]


def test_a_list_is_a_file_of_the_policy_and_changes_its_digest(folder: Path) -> None:
    before = load_policy(folder / "policy.yaml")
    assert folder / "pools.txt" in before.files
    assert Policy.parse(before.dump()).digest == before.digest
    (folder / "pools.txt").write_text("other.example\n")
    assert load_policy(folder / "policy.yaml").digest != before.digest


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.txt")), ids=lambda path: path.stem)
def test_the_lists_that_come_along_say_where_they_are_from(path: Path) -> None:
    text = path.read_text()
    for header in ("# licence: ", "# source: ", "# reviewed: "):
        assert header in text
    assert len(read_list(path, "mining").domains) > 40


LABELS = st.lists(st.sampled_from(["a", "b", "example", "com", "co", "uk"]), max_size=6)


@given(st.lists(LABELS, max_size=5), LABELS)
def test_find_is_a_search_for_endings(domains: list[list[str]], labels: list[str]) -> None:
    """The table against the plain meaning."""
    names = [".".join(each) for each in domains if each]
    found = Listed(
        [ResolvedList(name="l", path="", guard="mining", domains=dict.fromkeys(names, 1))]
    ).find(".".join(labels))
    fits = [each for each in names if f".{'.'.join(labels)}".endswith(f".{each}")]
    assert (found.domain if found else None) == (max(fits, key=len) if fits else None)
