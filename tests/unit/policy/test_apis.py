"""Rules about APIs: an allow where all that is asked fits, a deny where any of it may."""

from dataclasses import replace

import pytest

from firewall.actor import Actor
from firewall.apis import read_body
from firewall.policy import PolicyError
from firewall.requests import HttpRequest
from firewall.verdict import Verdict
from tests.unit.policy.conftest import Write

NOBODY = Actor(sandbox="test")
RULES = """
network:
  rules:
    - name: fetch
      allow: https
      hosts: [git.example]
      requests: [{git: {does: fetch, repositories: ["o/*"]}}]
    - name: pull
      allow: https
      hosts: [oci.example]
      requests: [{registry: {does: pull, repositories: ["library/*"]}}]
    - name: pypi
      allow: https
      hosts: [pypi.example]
      requests: [{packages: {index: pypi, does: download, names: [requests, "num*"]}}]
    - name: npm
      allow: https
      hosts: [npm.example]
      requests:
        - packages: {index: npm, does: download, names: ["@types/*", lodash], under: /npm/all}
    - name: store
      allow: https
      hosts: [s3.example, "*.s3.example"]
      requests: [{s3: {endpoint: s3.example, does: read, buckets: [data], keys: ["train/*"]}}]
    - name: scratch
      allow: https
      hosts: [s3.example, "*.s3.example"]
      requests: [{s3: {endpoint: s3.example, buckets: [scratch]}}]
    - name: no-deletes
      deny: https
      hosts: [s3.example, "*.s3.example"]
      requests: [{s3: {endpoint: s3.example, does: delete, buckets: [scratch], keys: ["keep/*"]}}]
    - name: gql
      allow: https
      hosts: [gql.example]
      requests: [{path: /graphql, graphql: {operations: [query], fields: [viewer, "repo*"]}}]
    - {name: rpc, allow: https, hosts: [rpc.example], requests: [{json-rpc: {methods: ["eth_*"]}}]}
    - name: mcp
      allow: https
      hosts: [mcp.example]
      requests: [{method: POST, mcp: {methods: [initialize, tools/*], tools: [read_file]}}]
    - {name: any, allow: https, hosts: [deny.example]}
    - name: no-push
      deny: https
      hosts: [deny.example]
      requests: [{git: {does: push}}, {path: /graphql, graphql: {operations: [mutation]}}]
"""


def asked(text: str, body: bytes | None = None, kind: str = "application/json") -> HttpRequest:
    method, _, url = text.partition(" ")
    host, slash, path = url.partition("/")
    request = HttpRequest(method, "https", host, 443, slash + path, host, host)
    return request if body is None else replace(request, calls=read_body(path, kind, body))


CASES = [
    ("GET git.example/o/r.git/info/refs?service=git-upload-pack", "fetch"),
    ("POST git.example/o/r.git/git-upload-pack", "fetch"),
    ("POST git.example/x/r.git/git-upload-pack", "default"),
    ("GET git.example/o/r.git/info/refs?service=git-receive-pack", "default"),
    ("POST git.example/o/r.git/git-receive-pack", "default"),
    ("POST git.example/o/../x/r/git-upload-pack", "default"),
    ("GET git.example/o/r", "default"),
    ("GET oci.example/v2/", "pull"),
    ("GET oci.example/v2/library/busybox/manifests/latest", "pull"),
    ("GET oci.example/v2/other/busybox/manifests/latest", "default"),
    ("POST oci.example/v2/library/busybox/blobs/uploads/", "default"),
    ("POST oci.example/v2/library/b/blobs/uploads/?mount=x&from=other/c", "default"),
    ("GET pypi.example/simple/requests/", "pypi"),
    ("GET pypi.example/simple/NumPy/", "pypi"),
    ("GET pypi.example/simple/evil/", "default"),
    ("POST pypi.example/simple/requests/", "default"),
    ("GET npm.example/npm/all/@types%2fnode", "npm"),
    ("GET npm.example/npm/all/@types%2Fnode", "npm"),
    ("GET npm.example/npm/all/lodash/-/lodash-4.0.0.tgz", "npm"),
    ("GET npm.example/npm/all/@evil%2fnode", "default"),
    ("GET npm.example/lodash", "default"),
    ("PUT npm.example/npm/all/lodash", "default"),
    ("GET s3.example/data/train/1", "store"),
    ("GET data.s3.example/train/1", "store"),
    ("GET s3.example/other/train/1", "default"),
    ("GET s3.example/data/test/1", "default"),
    ("PUT s3.example/data/train/1", "default"),
    ("POST s3.example/scratch?delete", "no-deletes"),
    ("POST scratch.s3.example/?delete", "no-deletes"),
    ("POST other.s3.example/?delete", "default"),
    ("POST s3.example/scratch/x?uploads", "scratch"),
    ("GET gql.example/graphql?query={viewer{login}}", "gql"),
    ("GET gql.example/graphql?query={secrets}", "default"),
    ("GET gql.example/graphql", "default"),
    ("GET rpc.example/", "default"),
    ("GET deny.example/o/r/info/refs?service=git-upload-pack", "any"),
    ("POST deny.example/o/r/git-receive-pack", "no-push"),
    ("POST deny.example/o/r/x/../git%2Dreceive-pack", "no-push"),
    ("GET deny.example/", "any"),
]


@pytest.mark.parametrize(("text", "rule"), CASES)
def test_methods_and_paths(policy: Write, text: str, rule: str) -> None:
    assert policy(RULES).decide(asked(text), NOBODY).rule == rule


BODIES = [
    ("gql.example/graphql", b'{"query": "{ viewer { login } repos { id } }"}', "gql"),
    ("gql.example/graphql", b'{"query": "mutation { viewer }"}', "default"),
    ("gql.example/graphql", b'{"query": "{ viewer secrets }"}', "default"),
    ("gql.example/graphql", b'[{"query": "{ viewer }"}, {"query": "{ secrets }"}]', "default"),
    ("gql.example/other", b'{"query": "{ viewer }"}', "default"),
    ("gql.example/graphql", b"not json", "default"),
    ("rpc.example/", b'{"method": "eth_call"}', "rpc"),
    ("rpc.example/", b'[{"method": "eth_call"}, {"method": "admin"}]', "default"),
    ("rpc.example/", b'[{"method": "eth_call"}, {"result": 1}]', "default"),
    ("mcp.example/mcp", b'{"method": "initialize"}', "mcp"),
    ("mcp.example/mcp", b'{"method": "tools/call", "params": {"name": "read_file"}}', "mcp"),
    ("mcp.example/mcp", b'{"method": "tools/call", "params": {"name": "run"}}', "default"),
    ("deny.example/graphql", b'{"query": "{ viewer }"}', "any"),
    ("deny.example/graphql", b'{"query": "mutation { x }"}', "no-push"),
    ("deny.example/graphql", b'[{"query": "{ a }"}, {"query": "mutation { x }"}]', "no-push"),
    ("deny.example/graphql", b"not json", "no-push"),
    ("deny.example/graphql", b'{"method": "x"}', "no-push"),
    ("deny.example/else", b"not json", "any"),
]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("scratch/y", "scratch"),
        ("/scratch/a%20b?versionId=1", "scratch"),
        ("data/train/1", "default"),
        ("%64ata/train/1", "default"),
        ("arn:aws:s3:r:1:accesspoint/a/object/scratch/y", "default"),
        ("?", "default"),
    ],
)
def test_a_copy_reads_its_source(policy: Write, source: str, rule: str) -> None:
    copy = replace(asked("PUT s3.example/scratch/x"), copies=source)
    assert policy(RULES).decide(copy, NOBODY).rule == rule


@pytest.mark.parametrize(("url", "body", "rule"), BODIES)
def test_bodies(policy: Write, url: str, body: bytes, rule: str) -> None:
    assert policy(RULES).decide(asked(f"POST {url}", body), NOBODY).rule == rule


def test_a_body_that_was_not_read_fits_no_allow_and_every_deny(policy: Write) -> None:
    loaded = policy(RULES)
    for host, rule in (("gql.example", "default"), ("deny.example", "no-push")):
        assert loaded.decide(asked(f"POST {host}/graphql"), NOBODY).rule == rule


def test_bodies_are_read_where_a_rule_needs_them(policy: Write) -> None:
    loaded = policy(RULES)
    assert loaded.reads(asked("POST gql.example/graphql"))
    assert loaded.reads(asked("POST deny.example/"))
    assert not loaded.reads(asked("POST git.example/o/r/git-upload-pack"))
    assert not loaded.reads(asked("POST else.example/"))


def test_a_refusal_tells_what_was_asked(policy: Write) -> None:
    body = b'{"query": "mutation M { deleteRepo }"}'
    verdict: Verdict = policy(RULES).decide(asked("POST gql.example/graphql", body), NOBODY)
    assert "this is POST /graphql (mutation M deleteRepo)" in verdict.reason
    assert "graphql (operations query, fields viewer or repo*)" in verdict.reason
    unread = policy(RULES).decide(asked("POST rpc.example/", b"x", "text/plain"), NOBODY)
    assert "its body could not be told: it is text/plain, and not application/json" in unread.reason


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ("{git: {does: steal}}", "is not known"),
        ("{git: {}, s3: {endpoint: s3.example}}", "one request is of one API"),
        ("{packages: {index: pypi, under: npm/}}", "is no folder of a server"),
        ("{json-rpc: {}}", "'methods' is missing"),
        ("{graphql: {operations: []}}", "does not fit"),
        ("{grapql: {}}", "unknown key"),
    ],
)
def test_what_is_no_api_is_a_fault(policy: Write, request_: str, problem: str) -> None:
    rule = f"{{name: a, allow: https, hosts: [a.example], requests: [{request_}]}}"
    with pytest.raises(PolicyError, match=problem):
        policy(f"network: {{rules: [{rule}]}}")


def test_a_policy_with_apis_travels(policy: Write) -> None:
    loaded = policy(RULES)
    again = type(loaded).parse(loaded.dump())
    assert again.digest == loaded.digest
    assert again.decide(asked("POST git.example/o/r/git-upload-pack"), NOBODY).rule == "fetch"
