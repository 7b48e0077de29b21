"""What the README and the pages behind it show is so: policies, commands, folders, links."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from firewall.actor import Actor
from firewall.cli.main import app
from firewall.policy import load_policy
from firewall.requests import Command, Execute, HttpRequest, Intent, ToolCall
from firewall.toolcalls.hook import AGENTS
from tests.unit.proxy.stage import CURL

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
FENCE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)

ACTOR = Actor("test", CURL)


def _policy() -> str:
    """The policy in one page, with what the pages on SSH, programs and GPUs show first."""
    names = ("policy", "ssh", "tool-calls", "gpu")
    page, rule, programs, gpu = (
        FENCE.findall((DOCS / f"{name}.md").read_text())[0] for name in names
    )
    return str(page.replace("\nguards:", f"{rule}\nguards:")) + str(programs) + str(gpu)


def test_its_table_of_ssh_clients_is_that_of_the_tests() -> None:
    assert ssh_table() in (DOCS / "ssh.md").read_text()


def ssh_table() -> str:
    """What each client can do and cannot, from the acts that the end-to-end tests try."""
    rows = yaml.safe_load((ROOT / "tests" / "e2e" / "ssh_acts.yaml").read_text())
    clients = dict.fromkeys(row["client"] for row in rows if row["client"] not in OURS)
    lines = ["| client | works | is refused |", "|---|---|---|"]
    for client in clients:
        mine = [row for row in rows if row["client"] == client]
        works = ", ".join(row["act"] for row in mine if "rule" not in row)
        refused = ", ".join(f"{row['act']}" for row in mine if "rule" in row)
        lines.append(f"| {client} | {works} | {refused} |")
    return "\n".join(lines)


OURS = ("agent", "sshuttle", "mosh")
"""What is told in words."""


@pytest.mark.skipif(shutil.which("pip") is None, reason="pip is not installed")
def test_its_policy_loads_and_does_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "my-agent.yaml"
    path.write_text(_policy())
    policy = load_policy(path)
    push = HttpRequest("POST", "https", "github.com", 443, "/o/r/git-receive-pack", "github.com")
    verdict = policy.decide(push, ACTOR)
    assert (verdict.allowed, verdict.rule) == (False, "default")
    words = Command(("/usr/bin/git", "push"), intents=(Intent("git.push"),))
    run = policy.decide(Execute("/usr/bin/git", ("git", "push"), "/", commands=(words,)), ACTOR)
    assert (run.action, run.rule) == ("deny", "no-push")
    drop = ToolCall("mcp__db__query", '{"query": "DROP TABLE x"}')
    assert policy.decide(drop, ACTOR).rule == "no-drop"
    assert [each.name for each in policy.gpu.workloads] == ["trainer"]


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"(?:`|uv run |    )firewall ([a-z]+)", README)))
)
def test_its_commands_exist(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "place",
    re.findall(
        r"^    ([a-z]+/(?:[a-z_.]+/?)?)", (DOCS / "architecture.md").read_text(), re.MULTILINE
    ),
)
def test_the_places_of_the_architecture_are_there(place: str) -> None:
    assert (ROOT / place).exists()


LINKS = [
    (page, link)
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=str)
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


def test_every_page_is_in_the_table_of_documents() -> None:
    table = (DOCS / "README.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in table} == set()


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_has_a_page(agent: str) -> None:
    assert f"firewall hook install {agent} " in (DOCS / "agents.md").read_text()


def test_the_readme_stays_a_front_page() -> None:
    assert len(README.splitlines()) <= 150
