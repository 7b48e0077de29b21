"""What a request's body asks of an API, as the keys of a rule that allow it."""

from typing import Any

from firewall.policy.globs import literal
from firewall.requests import Act, Calls


def api_keys(calls: Calls | None) -> dict[str, Any] | None:
    """The keys; none where no rule needed the body. None where no keys say exactly what it asks.

    Which name a client gives to a GraphQL operation allows nothing, so that none is learned.
    """
    if calls is None:
        return {}
    if bool(calls.graphql) == bool(calls.rpc):
        return None
    return _graphql(calls.graphql) if calls.graphql else _rpc(calls.rpc or ())


def _graphql(acts: tuple[Act, ...]) -> dict[str, Any] | None:
    """Of a batch, only one whose operations are alike: a rule would mix their fields."""
    if len({(act.does, frozenset(act.fields)) for act in acts}) > 1 or not acts[0].fields:
        return None
    fields = sorted(literal(each) for each in set(acts[0].fields))
    return {"graphql": {"operations": [acts[0].does], "fields": fields}}


def _rpc(acts: tuple[Act, ...]) -> dict[str, Any]:
    methods = sorted({literal(act.does) for act in acts})
    tools = sorted({literal(act.subject) for act in acts if act.does == "tools/call"})
    return (
        {"mcp": {"methods": methods, "tools": tools}}
        if tools
        else {"json-rpc": {"methods": methods}}
    )
