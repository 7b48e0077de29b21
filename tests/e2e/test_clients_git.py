"""git over HTTPS: clone and fetch by one rule, push by another, and no push without one."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.clients import Steps, opened, public_folder, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, GitServer

pytestmark = needs("git")

POLICY = """
version: 1
name: test
network:
  names: {git.test: 127.0.0.1}
  rules:
    - name: git-read
      allow: https
      hosts: [git.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      requests:
        - {method: GET, path: "/**/info/refs"}
        - {method: POST, path: "/**/git-upload-pack"}
    - name: git-write
      allow: https
      hosts: [git.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      requests:
        - {method: POST, path: "/o/mine.git/git-receive-pack"}
"""
COMMIT = "git -c user.name=a -c user.email=a@a commit -q --allow-empty -m"


@dataclass(frozen=True)
class Ran:
    steps: Steps
    seen: list[str]


@pytest.fixture(scope="module")
def ran(certificates: Certificates) -> Iterator[Ran]:
    with opened(certificates) as workplace, public_folder("fw-git-") as folder:
        server = GitServer(folder, certificates)
        (folder / "o" / "mine.git").symlink_to(folder / "o" / "r.git")
        url = f"https://git.test:{server.port}/o"
        scripts = {
            "1-clone": f"git clone -q {url}/r.git && cat r/file",
            "2-shallow": f"git clone -q --depth 1 {url}/r.git shallow && cat shallow/file",
            "3-push-denied": f"cd r && {COMMIT} second && git push -q origin main",
            "4-push": f"cd r && git push -q {url}/mine.git main",
            "5-fetch": "cd shallow && git pull -q && git log -1 --format=%s",
            "6-list": f"git ls-remote {url}/r.git main",
            "7-elsewhere": "git clone -q https://elsewhere.test/o/r.git other",
        }
        policy = workplace.policy(POLICY, port=server.port)
        home = {"HOME": str(workplace.work), "GIT_TERMINAL_PROMPT": "0"}
        try:
            yield Ran(take_steps(workplace, policy, scripts, environment=home), server.seen)
        finally:
            server.close()


@pytest.mark.parametrize(
    ("name", "shown"),
    [("1-clone", "first\n"), ("2-shallow", "first\n"), ("5-fetch", "second\n"), ("4-push", "")],
)
def test_what_the_rules_allow_works(ran: Ran, name: str, shown: str) -> None:
    assert ran.steps[name].status == 0, ran.steps[name].err
    assert ran.steps[name].out == shown
    assert ran.steps[name].blocked == []


def test_each_request_is_allowed_by_its_own_rule(ran: Ran) -> None:
    requests = ran.steps["4-push"].allowed("HttpRequest")
    rules = {each["request"]["path"]: each["verdict"]["rule"] for each in requests}
    assert rules["/o/mine.git/git-receive-pack"] == "git-write"
    assert rules["/o/mine.git/info/refs?service=git-receive-pack"] == "git-read"


def test_a_push_without_a_rule_is_refused_as_git_shows_it(ran: Ran) -> None:
    step = ran.steps["3-push-denied"]
    assert step.status != 0
    assert "403" in step.err
    record = step.block("default", "git-remote-http")
    assert record["request"]["method"] == "POST"
    assert record["request"]["path"] == "/o/r.git/git-receive-pack"
    assert "this is POST /o/r.git/git-receive-pack" in record["verdict"]["reason"]
    programs = [each["argv"][:2] for each in record["actor"]["ancestors"]]
    assert ["git", "push"] in programs


def test_a_refused_push_never_arrives(ran: Ran) -> None:
    pushes = [each for each in ran.seen if each.startswith("POST") and "receive-pack" in each]
    assert pushes == ["POST /o/mine.git/git-receive-pack"]


def test_the_list_of_branches_knows_the_push(ran: Ran) -> None:
    assert ran.steps["6-list"].out.split()[1:] == ["refs/heads/main"]


def test_git_tells_why_a_clone_is_refused(ran: Ran) -> None:
    step = ran.steps["7-elsewhere"]
    assert step.status == 128
    assert "remote: Blocked by the firewall" in step.err
    assert "remote:   why: no rule allows elsewhere.test on port 443" in step.err
    step.block("default", "git-remote-http")
