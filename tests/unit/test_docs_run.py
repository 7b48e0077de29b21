"""What the documents show is run: commands that need nothing but files, with the files shown; every
policy in them is loaded."""

import ast
import grp
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor, Process
from firewall.audit import AuditLog, describe
from firewall.cli.main import app
from firewall.node.config import load_config
from firewall.policy import Policy, load_policy
from firewall.requests import Connect, HttpRequest, Request
from tests.unit.audit.signing import signer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[a-z]*.md"))]
SHARED = ROOT / "docs" / "policy-as-code.md"
"""The page whose files are there for all pages."""

RUN = ("policy", "audit", "hook", "approvals", "sandbox")
"""The commands that need no network, no other process and no rights."""
NOT_RUN = {
    "audit ship": "it needs a far end",
    "audit ingest": "it needs a far end",
    "sandbox quarantine": "it needs a sandbox that runs",
    "sandbox release": "it needs a sandbox that runs",
}
_FENCE = re.compile(r"^( *)```yaml *(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^ {4,}((?:uv run )?firewall .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A block of YAML on a page, and the file that it is, if any."""

    page: str
    number: int
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.name or self.number}"


def fences(page: Path) -> list[Fence]:
    found = _FENCE.findall(page.read_text())
    return [
        Fence(page.name, number, name, textwrap.dedent(text))
        for number, (_, name, text) in enumerate(found, 1)
    ]


def commands(page: Path) -> Iterator[str]:
    """The command lines of a page's blocks that are to be run, without comments."""
    for line in _LINE.findall(page.read_text()):
        for each in re.split(r" {2,}(?=firewall )", re.sub(r" +# .*", "", line)):
            words = each.removeprefix("uv run ").split()[1:3]
            if words and words[0] in RUN and " ".join(words) not in NOT_RUN:
                yield each.removeprefix("uv run ").strip()


def lines() -> list[tuple[Path, str]]:
    return list(dict.fromkeys((page, line) for page in PAGES for line in commands(page)))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed log of what an agent asked for under a policy that observes."""
    root = tmp_path_factory.mktemp("log")
    (root / "observe.yaml").write_text("version: 1\nname: seen\nextends: [base]\nmode: observe\n")
    policy = load_policy(root / "observe.yaml")
    log = AuditLog(root / "audit", "gate-0")
    for number in range(10):
        _append(log, policy, Connect("api.example.com", 443, protocol="tls", sni="api.example.com"))
        path = f"/v1/things/{number}"
        _append(
            log,
            policy,
            HttpRequest("GET", "https", "api.example.com", 443, path, "api.example.com"),
        )
    log.close()
    writer = signer(root)
    writer.sign()
    writer.close()
    return root


def _append(log: AuditLog, policy: Policy, request: Request) -> None:
    actor = Actor("s1", Process(7, 1.5, "/usr/bin/curl", ("curl",), 1000))
    body = {"type": type(request).__name__, **describe(request)}
    verdict = describe(policy.decide(request, actor))
    facts = {"request": body, "verdict": verdict, "actor": describe(actor), "flow": {}}
    log.append({"kind": "verdict", **facts})


@pytest.fixture
def here(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, beside a state of its own with the log."""
    state = tmp_path / "state"
    shutil.copytree(log, state)
    work = tmp_path / "work"
    shutil.copytree(log / "audit", work / "audit")
    shutil.copy(log / "authority" / "audit-key.pub", work / "audit-key.pub")
    shutil.copytree(ROOT / "deploy" / "policy-repository", work, dirs_exist_ok=True)
    monkeypatch.setenv("FIREWALL_STATE", str(state))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(work)
    return work


def test_there_are_command_lines_to_run() -> None:
    assert len(lines()) > 40
    assert {line.split()[1] for _, line in lines()} >= {"policy", "audit", "hook"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_they_say(page: Path, here: Path) -> None:
    """One after the other, as a reader would, each without an error."""
    for fence in (*fences(SHARED), *fences(page)):
        if fence.name:
            (here / fence.name).write_text(fence.text)
    for line in commands(page):
        words = shlex.split(line.partition(" > ")[0])[1:]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{page.name}: {line}\n{result.output}"


@pytest.mark.parametrize("fence", [each for page in PAGES for each in fences(page)], ids=str)
def test_a_policy_that_is_shown_can_be_loaded(
    fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shown.yaml"
    text = fence.text
    if text.startswith("cases:"):
        return  # run by `firewall policy test` on its page
    if text.startswith("- name:"):
        text = f"network:\n  rules:\n{textwrap.indent(text, '    ')}"
    elif text.startswith("requests:"):
        rule = "- name: shown\n  allow: https\n  hosts: [shown.example]\n"
        rules = textwrap.indent(rule + textwrap.indent(text, "  "), "    ")
        text = f"network:\n  rules:\n{rules}"
    if not text.startswith("version:"):
        text = f"version: 1\nname: shown\n{text}"
    path.write_text(text)
    if "\nsocket:" in text:
        any_group = grp.getgrgid(0)
        monkeypatch.setattr(grp, "getgrnam", lambda name: any_group)
        assert load_config(path).policies
    else:
        assert load_policy(path).digest


PYTHON = [
    (page, textwrap.dedent(text))
    for page in PAGES
    for text in re.findall(
        r"^ *```python\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=lambda value: getattr(value, "name", ""))
def test_python_that_is_shown_imports_what_there_is(page: Path, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = pytest.importorskip(node.module)
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def test_the_first_python_of_the_agents_page_judges(here: Path) -> None:
    """It is run as it stands, with a preset, and closed by who runs it."""
    (here / "my-agent.yaml").write_text("version: 1\nname: my-agent\n")
    text = next(text for page, text in PYTHON if page.name == "agents.md")
    shown: dict[str, Any] = {}
    exec(compile(text, "agents.md", "exec"), shown)
    with closing(shown["firewall"]):
        assert shown["answer"].allowed
        assert shown["read_file"](str(here / "my-agent.yaml")).startswith("version: 1")
