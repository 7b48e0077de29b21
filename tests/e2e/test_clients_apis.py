"""Rules about APIs with real clients in a sandbox: git, curl speaking GraphQL and JSON-RPC."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.clients import Steps, opened, public_folder, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, GitServer
from tests.e2e.upstreams import Web

pytestmark = needs("git", "curl")

POLICY = """
version: 1
name: test
network:
  names: {git.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - name: git-fetch
      allow: https
      hosts: [git.test]
      ports: [{git}]
      addresses: [127.0.0.1/32]
      owner: code-hosting
      requests: [{git: {does: fetch, repositories: ["o/*"]}}]
    - name: api
      allow: https
      hosts: [origin.test]
      ports: [{api}]
      addresses: [127.0.0.1/32]
      requests:
        - {path: /graphql, graphql: {operations: [query], fields: [viewer]}}
        - {path: /rpc, json-rpc: {methods: [eth_blockNumber]}}
"""
CURL = "curl -sS --max-time 60 -w '%{http_code}' -H 'content-type: application/json'"
API = "https://origin.test:API"


def post(path: str, body: str, more: str = "") -> str:
    return f"{CURL} {more} -d '{body}' {API}{path}"


@dataclass(frozen=True)
class Ran:
    steps: Steps
    git: list[str]
    api: list[str]


@pytest.fixture(scope="module")
def ran(certificates: Certificates) -> Iterator[Ran]:
    with opened(certificates) as workplace, public_folder("fw-git-") as folder:
        git, api = GitServer(folder, certificates), Web(certificates)
        url = f"https://git.test:{git.port}/o"
        commit = "git -c user.name=a -c user.email=a@a commit -q --allow-empty -m second"
        scripts = {
            "1-clone": f"git clone -q {url}/r.git && cat r/file",
            "2-push": f"cd r && {commit} && git push -q origin main",
            "query": post("/graphql", '{"query": "{ viewer { login } }"}'),
            "query-1": post("/graphql", '{"query": "{ viewer { login } }"}', "--http1.1"),
            "mutation": post("/graphql", '{"query": "mutation { deleteRepo }"}'),
            "call": post("/rpc", '{"method": "eth_blockNumber", "id": 1}'),
            "batch": post("/rpc", '[{"method": "eth_blockNumber"}, {"method": "admin"}]'),
        }
        scripts = {name: text.replace("API", str(api.port)) for name, text in scripts.items()}
        policy = workplace.policy(POLICY, git=git.port, api=api.port)
        home = {"HOME": str(workplace.work), "GIT_TERMINAL_PROMPT": "0"}
        try:
            steps = take_steps(workplace, policy, scripts, environment=home)
            yield Ran(steps, git.seen, api.seen)
        finally:
            git.close()
            api.close()


def test_a_fetch_works_and_a_push_is_refused(ran: Ran) -> None:
    assert (ran.steps["1-clone"].out, ran.steps["1-clone"].blocked) == ("first\n", [])
    assert ran.steps["2-push"].status != 0
    (block,) = ran.steps["2-push"].blocked
    assert "this is GET /o/r.git/info/refs" in block["verdict"]["reason"]
    assert block["request"]["path"].endswith("?service=git-receive-pack")
    assert block["verdict"]["owner"] == "code-hosting"
    assert not any("receive-pack" in each for each in ran.git)


@pytest.mark.parametrize("name", ["query", "query-1", "call"])
def test_what_the_rule_names_arrives(ran: Ran, name: str) -> None:
    assert ran.steps[name].out.endswith("200"), ran.steps[name]


@pytest.mark.parametrize(("name", "told"), [("mutation", "deleteRepo"), ("batch", "admin")])
def test_what_it_does_not_name_is_refused_and_told(ran: Ran, name: str, told: str) -> None:
    assert ran.steps[name].out.endswith("403")
    assert told in ran.steps[name].out
    assert ran.steps[name].blocked[0]["request"]["calls"]


def test_nothing_refused_arrives(ran: Ran) -> None:
    assert sorted(ran.api) == ["POST /graphql", "POST /graphql", "POST /rpc"]
