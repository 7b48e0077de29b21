"""What bodies and URLs ask of GraphQL, JSON-RPC and MCP; what has two readings is not read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.apis.bodies import begins_with_json, query_calls, read_body
from firewall.apis.graphql import graphql_acts
from firewall.requests import Act, Calls

JSON = "application/json"


def read(value: Any, path: str = "/graphql", kind: str = JSON) -> Calls:
    return read_body(path, kind, value if isinstance(value, bytes) else json.dumps(value).encode())


DOCUMENTS = {
    "{ viewer { login } }": [Act("query", "", ("viewer",))],
    "query Q($a: [Int!] = [1]) @d { a: me(x: {y: [1]}) }": [Act("query", "Q", ("me",))],
    'mutation { x: deleteRepo(id: "}{") { id } }': [Act("mutation", "", ("deleteRepo",))],
    'subscription S { a(t: """ } \\""" """) # }\n b }': [Act("subscription", "S", ("a", "b"))],
    "{ ...F } fragment F on Q @d { a ...G } fragment G on Q { b }": [Act("query", "", ("a", "b"))],
    "{ ... on Q { a } ... @skip(if: true) { b } ... { c } }": [Act("query", "", ("a", "b", "c"))],
    "query A { a } mutation B { b }": [Act("query", "A", ("a",)), Act("mutation", "B", ("b",))],
    "{ query mutation: fragment on }": [Act("query", "", ("query", "fragment", "on"))],
}


@pytest.mark.parametrize(("document", "acts"), DOCUMENTS.items())
def test_documents(document: str, acts: list[Act]) -> None:
    assert graphql_acts(document) == tuple(acts)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{}",
        "{ a",
        "{ a } }",
        "type Q { a: Int }",
        "fragment F on Q { a }",
        "{ ...F }",
        "{ ...F } fragment F on Q { ...F }",
        "{ ...F } fragment F on Q { a } fragment F on Q { b }",
        '{ a(b: "x) }',
        "{ a(b: [1)] }",
        "{ ü }",
        "query Q",
    ],
)
def test_documents_that_servers_may_read_otherwise(document: str) -> None:
    assert graphql_acts(document) is None


@given(st.text(alphabet="{}()[].\"'@:!$#\n ,abcquerymutationfgmo_0", max_size=80))
def test_any_text_is_read_or_not(document: str) -> None:
    acts = graphql_acts(document)
    assert acts is None or all(act.fields for act in acts)


def test_fragments_that_double_cost_no_more_than_their_text() -> None:
    chain = "".join(f" fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }}" for n in range(2000))
    assert graphql_acts("{ ...F0 }" + chain + " fragment F2000 on Q { a }") == (
        Act("query", "", ("a",)),
    )


def test_an_endless_nesting_is_no_recursion() -> None:
    assert graphql_acts("{a" * 100_000) is None
    assert graphql_acts("{a(b:" + "[" * 100_000) is None
    assert graphql_acts("{" + "...{" * 100_000) is None


NAMES = st.sampled_from(["a", "b", "viewer", "deleteRepo"])


@given(st.sampled_from(["query", "mutation"]), st.lists(NAMES, min_size=1, unique=True), st.data())
def test_no_field_hides(kind: str, fields: list[str], data: st.DataObject) -> None:
    """However a field is dressed, it is among those that are told."""
    dressed = [
        data.draw(
            st.sampled_from(
                [each, f"x: {each}", f"... {{ {each} }}", f"... on T {{ y: {each}(z: 1) }}"]
            )
        )
        for each in fields
    ]
    (act,) = graphql_acts(f"{kind} {{ {', '.join(dressed)} }}") or ()
    assert act == Act(kind, "", tuple(fields))


def test_a_body_of_graphql() -> None:
    assert read({"query": "{ a }", "variables": {}}).graphql == (Act("query", "", ("a",)),)
    batch = read([{"query": "{ a }"}, {"query": "mutation M { b }"}]).graphql
    assert batch == (Act("query", "", ("a",)), Act("mutation", "M", ("b",)))


def test_a_body_of_json_rpc() -> None:
    assert read({"jsonrpc": "2.0", "id": 1, "method": "eth_call"}).rpc == (Act("eth_call", ""),)
    batch = [{"method": "a"}, {"method": "tools/call", "params": {"name": "run"}}]
    assert read(batch).rpc == (Act("a", ""), Act("tools/call", "run"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "{a}", "query": "mutation {b}"}',
        b'{"query": "{a}", "Query": "mutation {b}"}',
        b'{"method": "a", "params": {}, "METHOD": "b"}',
        b'{"Method": "a"}',
        b'{"query": "{a}", "query\\u0000": "mutation {b}"}',
        b'{"query": "{a}", "DocumentID": "b"}',
        b'{"query": "{a}", "doc_id": "b"}',
        b'{"method": "tools/call", "params": {"name": "a", "name": "b"}}',
        b'{"method": "tools/call", "params": {"name": 1}}',
        b'{"method": "tools/call"}',
        b'[{"method": "a"}, {"result": 1}]',
        b"[]",
        b"{",
        b"NaN",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"query": "{a}", "extensions": {"persistedQuery": {"sha256Hash": "x"}}}',
        b'{"extensions": {"persistedQuery": {"sha256Hash": "x"}}}',
        b'{"documentId": "x", "query": "{a}"}',
    ],
)
def test_bodies_that_may_be_read_otherwise_are_not_read(body: bytes) -> None:
    calls = read(body)
    assert (calls.graphql, calls.rpc) == (None, None)
    assert calls.unread


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-7",
        "application/x-www-form-urlencoded, application/x+json",
        "application/x-www-form-urlencoded x+json",
    ],
)
def test_only_json_is_read_as_json(kind: str) -> None:
    assert "not application/json" in read({"method": "a"}, kind=kind).unread


def test_a_body_that_was_not_read_is_told() -> None:
    assert "too long" in read_body("/", JSON, None).unread


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b' {"query": "{a}"}\xff\xff', True),
        (b'["\xff\x00"]', True),
        (b"[" * 100_000, True),
        (b'{"query": ', False),
        (b"5\x00", False),
        (b"\x1f\x8b\x08\x00", False),
        (b"", False),
    ],
)
def test_what_can_be_read_in_spite_of_its_coding_is_told(body: bytes, told: bool) -> None:
    assert begins_with_json(body) is told


def test_a_url_that_speaks_graphql_outdoes_the_body() -> None:
    assert read({"query": "{a}"}, "/graphql?query=mutation{b}").graphql is None
    assert read({"query": "{a}"}, "/graphql?x=1").graphql is not None


def test_a_get_asks_in_its_url() -> None:
    calls = query_calls("/graphql?query=%7Bviewer%7Blogin%7D%7D")
    assert calls == Calls((Act("query", "", ("viewer",)),))
    assert query_calls("/graphql?page=2") is None
    for odd in ("query={a}&query={b}", "query={a}&Query={b}", "extensions={}&id=7", "query="):
        found = query_calls(f"/graphql?{odd}")
        assert found is not None
        assert found.graphql is None


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["query", "method", "params", "name", "id", "Query", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSONS)
def test_any_json_is_read_or_told_why_not(value: Any) -> None:
    calls = read(value)
    assert bool(calls.unread) == (calls.graphql is None and calls.rpc is None)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told_why_not(body: bytes) -> None:
    calls = read_body("/", JSON, body)
    assert bool(calls.unread) == (calls.graphql is None and calls.rpc is None)
