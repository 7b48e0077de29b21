"""What a rule says of an API: the keys a person writes, and whether a request fits them.

An allow needs every act of a request to fit, and the request to be read as that API. A deny holds
where any act fits in any reading, and where a body that may hold one could not be read.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field

from firewall.apis import (
    copied_from,
    deletes_several,
    git_acts,
    npm_acts,
    pypi_acts,
    registry_acts,
    s3_acts,
)
from firewall.apis.bodies import query_calls
from firewall.policy.errors import Fault
from firewall.policy.globs import Glob, checked
from firewall.policy.hosts import parse_name
from firewall.policy.paths import clean, readings
from firewall.policy.strict import Strict, says
from firewall.requests import Act, Calls

_SCOPE = re.compile(r"(?i)(/@[^/%]+)%2f(?=[^/%]+)")
"""npm joins a scope and a name by an escaped slash."""
_READS = ("GET", "HEAD")


def _under(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or clean(text) is None:
        raise Fault(f"{text!r} is no folder of a server", "/repository/npm")
    return text


Globs = Annotated[
    tuple[Annotated[str, AfterValidator(checked)], ...], Field(min_length=1, strict=False)
]


class GitKeys(Strict):
    """Git's smart HTTP protocol. A repository is "owner/name", without .git."""

    does: Literal["fetch", "push"] | None = None
    repositories: Globs | None = None


class RegistryKeys(Strict):
    """A container registry (OCI distribution specification). Its version check is always included
    in an allow."""

    does: Literal["pull", "push", "delete"] | None = None
    repositories: Globs | None = None


class PackageKeys(Strict):
    """A package index. Python's names are normalised (a_b.C is a-b-c); `under` is the folder of the
    server in which the index is."""

    index: Literal["pypi", "npm"]
    does: Literal["download", "publish"] | None = None
    names: Globs | None = None
    under: Annotated[str, AfterValidator(_under)] | None = None


class S3Keys(Strict):
    """An S3-like store: buckets are in the path of `endpoint`, or names below it."""

    endpoint: Annotated[str, AfterValidator(parse_name)]
    does: Literal["read", "write", "delete"] | None = None
    buckets: Globs | None = None
    keys: Globs | None = None


class GraphqlKeys(Strict):
    """GraphQL, in the body or a GET's URL. Every top-level field has to be one of `fields`."""

    operations: (
        Annotated[
            tuple[Literal["query", "mutation", "subscription"], ...],
            Field(min_length=1, strict=False),
        ]
        | None
    ) = None
    names: Globs | None = None
    fields: Globs | None = None


class RpcKeys(Strict):
    """JSON-RPC 2.0. Every method of a batch has to be one of `methods`."""

    methods: Globs


class McpKeys(Strict):
    """MCP over HTTP. `tools` are for tools/call; without `methods`, that alone is meant."""

    methods: Globs | None = None
    tools: Globs | None = None


class ApiKeys(Strict):
    """The keys of a kind of HTTP request that are about an API; at most one is written."""

    git: Annotated[GitKeys | None, says("What git asks for by HTTP, of which repository.")] = None
    registry: Annotated[
        RegistryKeys | None,
        says("A pull from or a push to a container registry, of which repository."),
    ] = None
    packages: Annotated[PackageKeys | None, says("Which package an index is asked for.")] = None
    s3: Annotated[S3Keys | None, says("Which bucket and key of a store like S3.")] = None
    graphql: Annotated[
        GraphqlKeys | None, says("Which operations, names and top-level fields.")
    ] = None
    json_rpc: Annotated[RpcKeys | None, says("Which methods.")] = Field(
        default=None, alias="json-rpc"
    )
    mcp: Annotated[McpKeys | None, says("Which methods and tools of an MCP server.")] = None

    @property
    def apis(self) -> dict[str, Strict]:
        """Those that are written, by their keys."""
        pairs = ((info.alias or name, getattr(self, name)) for name, info in _API_FIELDS)
        return {name: value for name, value in pairs if value is not None}


_API_FIELDS = tuple(ApiKeys.model_fields.items())


class Told(NamedTuple):
    """A request as matchers of APIs see it."""

    method: str
    host: str
    path: str
    calls: Calls | None
    copies: str = ""


type _Read = Callable[[Told, Sequence[str], str], tuple[Act, ...] | None]


class Api:
    """A compiled matcher. `in_body` says that it needs the bodies of requests."""

    __slots__ = ("_fits", "_read", "in_body", "key")

    def __init__(self, key: str, read: _Read, fits: Callable[[Act], bool], in_body: bool) -> None:
        self.key = key
        self.in_body = in_body
        self._read = read
        self._fits = fits

    def allows(self, told: Told) -> bool:
        """Whether the request is surely of this API, and all that it asks fits."""
        acts = self.acts(told)
        return bool(acts) and all(self._fits(act) for act in acts)

    def acts(self, told: Told) -> tuple[Act, ...]:
        """What the request surely asks of this API; nothing where it can be read in two ways."""
        path, _, query = told.path.partition("?")
        if self.key == "packages":
            path = _SCOPE.sub(r"\1/", path)
        segments = clean(path)
        return () if segments is None else self._read(told, segments, query) or ()

    def denies(self, told: Told) -> bool:
        """Whether something that it asks may fit."""
        path, _, query = told.path.partition("?")
        for way in readings(_SCOPE.sub(r"\1/", path)):
            acts = self._read(told, way, query)
            if acts is None or any(self._fits(act) for act in acts):
                return True
        return False


def api_of(keys: ApiKeys) -> Api | None:
    """The matcher of a checked request; None where it is about no API."""
    written = keys.apis
    if not written:
        return None
    ((key, value),) = written.items()
    read, fits = _MADE[key](value)
    return Api(key, read, fits, in_body=key in ("graphql", "json-rpc", "mcp"))


def describe_apis(keys: ApiKeys) -> Iterator[str]:
    """The matcher in words: "git (does fetch, repositories o/*)"."""
    for key, value in keys.apis.items():
        said = value.model_dump(exclude_none=True, by_alias=True)
        terms = (f"{name} {_words(each)}" for name, each in said.items() if each)
        yield f"{key} ({', '.join(terms)})" if said else key


def describe_calls(calls: Calls | None) -> str:
    """What a body asks, to follow the method and path of a request; "" where nothing is told."""
    if calls is None:
        return ""
    acts = [(name, act) for name in ("graphql", "rpc") for act in getattr(calls, name) or ()]
    told = ", ".join(
        " ".join(filter(None, (act.does, act.subject, " ".join(act.fields)))) for _, act in acts
    )
    return f" ({told[:300]})" if told else f" (its body could not be told: {calls.unread})"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else " or ".join(value)


def _any(globs: Iterable[str] | None) -> Callable[[str], bool]:
    compiled = None if globs is None else [Glob(text) for text in globs]
    return lambda text: compiled is None or any(glob.matches(text) for glob in compiled)


def _git(keys: GitKeys) -> tuple[_Read, Callable[[Act], bool]]:
    named = _any(keys.repositories)
    return (
        lambda told, segments, query: git_acts(told.method, segments, query),
        lambda act: keys.does in (None, act.does) and named(act.subject),
    )


def _registry(keys: RegistryKeys) -> tuple[_Read, Callable[[Act], bool]]:
    named = _any(keys.repositories)
    return (
        lambda told, segments, query: registry_acts(told.method, segments, query),
        lambda act: act.does == "check" or (keys.does in (None, act.does) and named(act.subject)),
    )


def _packages(keys: PackageKeys) -> tuple[_Read, Callable[[Act], bool]]:
    named, acts = _any(keys.names), {"pypi": pypi_acts, "npm": npm_acts}[keys.index]
    folder = (keys.under or "").split("/")[1:]

    def read(told: Told, segments: Sequence[str], query: str) -> tuple[Act, ...]:
        inside = list(segments[: len(folder)]) == folder
        return acts(told.method, segments[len(folder) :], query) if inside else ()

    return read, lambda act: keys.does in (None, act.does) and named(act.subject)


def _s3(keys: S3Keys) -> tuple[_Read, Callable[[Act], bool]]:
    buckets, names = _any(keys.buckets), _any(keys.keys)

    def concerns(act: Act) -> bool:
        return keys.does in (None, act.does) and buckets(act.subject.partition("/")[0])

    def read(told: Told, segments: Sequence[str], query: str) -> tuple[Act, ...] | None:
        acts = s3_acts(told.method, told.host, keys.endpoint, segments, query)
        unknown = keys.keys is not None and deletes_several(told.method, query)
        if unknown and any(map(concerns, acts)):
            return None
        if not (acts and told.copies):
            return acts
        copied = copied_from(told.copies)
        return (*acts, copied) if copied.subject or keys.does in ("write", "delete") else None

    return read, lambda act: concerns(act) and names(act.subject.partition("/")[2])


def _graphql(keys: GraphqlKeys) -> tuple[_Read, Callable[[Act], bool]]:
    named, fields = _any(keys.names), _any(keys.fields)

    def read(told: Told, segments: Sequence[str], query: str) -> tuple[Act, ...] | None:
        if told.method in _READS:
            calls = query_calls(told.path)
            return calls.graphql if calls else ()
        return told.calls.graphql if told.calls else None

    def fits(act: Act) -> bool:
        kind = keys.operations is None or act.does in keys.operations
        return kind and named(act.subject) and all(fields(each) for each in act.fields)

    return read, fits


def _rpc_read(told: Told, segments: Sequence[str], query: str) -> tuple[Act, ...] | None:
    if told.method in _READS:
        return ()
    return told.calls.rpc if told.calls else None


def _json_rpc(keys: RpcKeys) -> tuple[_Read, Callable[[Act], bool]]:
    methods = _any(keys.methods)
    return _rpc_read, lambda act: methods(act.does)


def _mcp(keys: McpKeys) -> tuple[_Read, Callable[[Act], bool]]:
    methods, tools = _any(keys.methods or ("tools/call",)), _any(keys.tools)
    return (
        _rpc_read,
        lambda act: methods(act.does) and (act.does != "tools/call" or tools(act.subject)),
    )


_MADE: dict[str, Callable[[Any], tuple[_Read, Callable[[Act], bool]]]] = {
    "git": _git,
    "registry": _registry,
    "packages": _packages,
    "s3": _s3,
    "graphql": _graphql,
    "json-rpc": _json_rpc,
    "mcp": _mcp,
}
