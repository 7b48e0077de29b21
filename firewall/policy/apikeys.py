"""What a request asks of an API, as the keys of a rule that allow it."""

from collections.abc import Sequence
from typing import Any

from firewall.policy.apis import ApiKeys, PackageKeys, S3Keys
from firewall.policy.globs import literal
from firewall.requests import Act, Calls


def url_keys(like: ApiKeys, acts: Sequence[Act]) -> dict[str, Any]:
    """The keys for what the method and the path ask, of the API that another entry is about."""
    ((key, written),) = like.apis.items()
    kinds = {act.does for act in acts}
    does = {"does": kinds.pop()} if len(kinds) == 1 else {}
    subjects = [act.subject for act in acts]
    match written:
        case PackageKeys():
            place = written.model_dump(include={"index", "under"}, exclude_none=True)
            return {key: {**place, **does, "names": _literals(subjects)}}
        case S3Keys():
            return {key: {"endpoint": written.endpoint, **does, **_objects(subjects)}}
    return {key: {**does, "repositories": _literals(subjects)}}


def _objects(subjects: Sequence[str]) -> dict[str, list[str]]:
    """Buckets and keys; a bucket as a whole has no key."""
    pairs = [subject.partition("/") for subject in subjects]
    keys = [name for _, _, name in pairs]
    buckets = {"buckets": _literals([bucket for bucket, _, _ in pairs])}
    return {**buckets, "keys": _literals(keys)} if all(keys) else buckets


def _literals(texts: Sequence[str]) -> list[str]:
    return [literal(text) for text in dict.fromkeys(texts)]


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
