"""The policy language: one pydantic model for each mapping a person writes.

Models check each value by itself; `checks.py` looks at what values mean together.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from firewall.policy.acts import ShellDocument, ToolsDocument
from firewall.policy.addresses import METADATA, Network
from firewall.policy.after import After
from firewall.policy.apis import ApiKeys
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.gpu import GpuDocument
from firewall.policy.hints import fitting, misread, unknown_key
from firewall.policy.holding import HeldKeys
from firewall.policy.hosts import contains, parse_host, parse_name, parse_network
from firewall.policy.inject import Injects
from firewall.policy.limits import LimitsForm
from firewall.policy.paths import PathGlob
from firewall.policy.redact import AuditDocument
from firewall.policy.secrets import SecretsDocument
from firewall.policy.ssh import SshKeys
from firewall.policy.strict import RuleName, Strict, says, section
from firewall.policy.text import Node

type AllowKind = Literal["https", "http", "ssh", "tcp"]
type DenyKind = Literal["https", "http", "ssh", "tcp", "any"]
type Tool = Literal["pip", "uv", "npm", "apt", "cargo"]
type GuardAction = Literal["block", "alert"]
type CriticalAction = Literal["alert", "quarantine", "freeze"]

_METHOD = re.compile(r"[A-Z][A-Z-]*")


def _host(text: str) -> str:
    parse_host(text)
    return text


def _name(text: str) -> str:
    return parse_name(text)


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise Fault(f"{text!r} is not an IP address", "an address such as 127.0.0.1") from None
    refuse_metadata(parse_network(str(address)))
    return str(address)


def _consent(text: str) -> str:
    refuse_metadata(parse_network(text))
    return text


def refuse_metadata(network: Network) -> None:
    """Raise Fault for what can only be meant for metadata; wider networks leave it out anyway."""
    if not any(contains(network, each) for each in METADATA):
        return
    if network.is_link_local or network.num_addresses == 1:
        raise Fault(f"{network} is cloud metadata, which no rule can open", "nothing in its place")


def _method(text: str) -> str:
    if not _METHOD.fullmatch(text):
        upper = text.upper()
        raise Fault(
            f"{text!r} is not a method", upper if _METHOD.fullmatch(upper) else "GET, HEAD, POST..."
        )
    if text == "CONNECT":
        raise Fault("CONNECT is a tunnel, which guards.tunnels refuses", "the other methods only")
    return text


def _path(text: str) -> str:
    PathGlob(text)
    return text


def _program(text: str) -> str:
    if not text.startswith(("/", "*")):
        raise Fault(f"{text!r} never matches: programs are whole paths", f'"*/{text}"')
    if not text.strip("*/"):
        raise Fault(f"{text!r} would match every program", "no programs, which means any")
    return text


HostText = Annotated[str, AfterValidator(_host)]
NameText = Annotated[str, AfterValidator(_name)]
AddressText = Annotated[str, AfterValidator(_address)]
ConsentText = Annotated[str, AfterValidator(_consent)]
MethodText = Annotated[str, AfterValidator(_method)]
PathText = Annotated[str, AfterValidator(_path)]
ProgramText = Annotated[str, AfterValidator(_program)]
Port = Annotated[int, Field(ge=1, le=65535)]


class ToolHosts(Strict):
    """The hosts that package tools of this machine are set to download from."""

    tools: list[Tool] = Field(alias="from", min_length=1)


def _hosts_form(value: Any) -> str:
    return "tools" if isinstance(value, dict | ToolHosts) else "names"


# Told apart by form, so that a fault in one is not also reported as not being the other.
Hosts = Annotated[
    Annotated[list[HostText], Tag("names")] | Annotated[ToolHosts, Tag("tools")],
    Discriminator(_hosts_form),
]


class RequestRule(ApiKeys):
    """One kind of HTTP request. A missing method or path means any."""

    method: Annotated[MethodText | None, says("One method; any where it is not written.")] = None
    path: Annotated[
        PathText | None,
        says("A glob: `*` within a segment, `**` over several; no query."),
    ] = None


class RuleDocument(SshKeys, HeldKeys):
    """A rule of `network.rules`: what it allows or denies, to which hosts, for whom.

    `programs` is a convenience and no boundary: see its description.
    """

    name: Annotated[
        RuleName,
        says("What verdicts, records and refusals call it; no two rules share one."),
    ]
    allow: Annotated[
        AllowKind | None,
        says("What may be spoken to the hosts; all else stays denied."),
    ] = None
    deny: Annotated[
        DenyKind | None,
        says("What may not, whatever other rules allow; `any` for everything."),
    ] = None
    hosts: Annotated[
        Hosts,
        says("Names, `*.name` for all below, addresses, networks; or tools that know."),
    ]
    ports: Annotated[
        list[Port] | None,
        says("Ports; where they are not written those of the kind: 443, 80, 22."),
    ] = Field(default=None, min_length=1)
    methods: Annotated[
        list[MethodText] | None,
        says("HTTP methods; any where neither they nor `requests` are written."),
    ] = Field(default=None, min_length=1)
    requests: Annotated[
        list[RequestRule] | None,
        says("Kinds of HTTP requests, of which one must fit."),
    ] = Field(default=None, min_length=1)
    programs: list[ProgramText] | None = Field(
        default=None,
        min_length=1,
        description="Paths of the programs that it is for. A convenience and no boundary: an agent"
        " can run an interpreter under another program's name, or make a program do its work.",
    )
    tls: Annotated[
        Literal["inspect", "passthrough"] | None,
        says("`passthrough` leaves the flow unread, for clients that pin certificates."),
    ] = None
    addresses: Annotated[
        list[ConsentText] | None,
        says("Networks that are not public and that the hosts may lead to."),
    ] = Field(default=None, min_length=1)
    tool_calls: Literal["inspect"] | None = Field(
        default=None,
        alias="tool-calls",
        description="Judge the tool calls in this model API's answers before the agent sees them.",
    )
    inject: Injects | None = Field(
        default=None,
        description="Credentials that its requests carry and the agent never holds.",
    )
    secrets: Annotated[
        Literal["allow"] | None,
        says("Lets keys and what stands in marked files pass in what it allows; needs a reason."),
    ] = None
    after: Annotated[
        After | None,
        says("Only after something was done before: for rules that hold back."),
    ] = None
    reason: Annotated[str, says("Why there is such a rule; refusals tell it.")] = ""

    @property
    def kind(self) -> str:
        return self.allow or self.deny or ""


class NetworkDocument(Strict):
    """Everything about connections: pinned names, and rules whose order never matters."""

    names: Annotated[
        dict[NameText, AddressText],
        says("Names and the addresses they lead to, instead of what DNS says."),
    ] = Field(default_factory=dict)
    limits: Annotated[
        LimitsForm | None,
        says("How much all rules together let through within a time, for each sandbox."),
    ] = None
    rules: Annotated[
        list[RuleDocument],
        says("Rules; their order does not matter. Deny beats allow."),
    ] = Field(default_factory=list)


class GuardsDocument(Strict):
    """Guards beat every allow. What is not written blocks, but `suspicious` alerts.

    `on-critical` says what follows the block of something critical: `alert` nothing more,
    `quarantine` the end of all egress until a person releases it, `freeze` that, and the sandbox's
    processes are stopped. Not written, it is `alert`.
    """

    mining: Annotated[
        GuardAction | None,
        says("Mining protocols, on any port and inside any carrier, and names of pools."),
    ] = None
    tunnels: Annotated[
        GuardAction | None,
        says("One connection carried inside another, and names of brokers."),
    ] = None
    ssh_reverse_forwarding: Annotated[
        GuardAction | None, says("`ssh -R`: a door from outside into the sandbox.")
    ] = Field(default=None, alias="ssh-reverse-forwarding")
    private_addresses: Annotated[
        GuardAction | None,
        says("Addresses that are not public; metadata services are never reached."),
    ] = Field(default=None, alias="private-addresses")
    secrets: Annotated[
        GuardAction | None,
        says("Secrets that leave: those held here, keys of known formats, marked files' contents."),
    ] = None
    suspicious: Annotated[
        GuardAction | None,
        says("What may be mining or a tunnel and may as well be honest."),
    ] = None
    on_critical: Annotated[
        CriticalAction | None, says("What follows the block of something critical.")
    ] = Field(default=None, alias="on-critical")


class ListsDocument(Strict):
    """Lists of names that a guard refuses: names of lists that come along, or paths of files."""

    mining: Annotated[list[str] | None, says("Lists for `guards.mining`.")] = None
    tunnels: Annotated[list[str] | None, says("Lists for `guards.tunnels`.")] = None


class PolicyDocument(Strict):
    """A policy file."""

    version: Annotated[Literal[1], says("The version of this language.")]
    name: Annotated[RuleName, says("The policy's name in records and metrics.")]
    extends: Annotated[
        list[str],
        says("Presets by name, or files from this one: their rules count too."),
    ] = Field(default_factory=list)
    mode: Annotated[
        Literal["enforce", "observe"],
        says("`observe` records what would be denied, and lets it pass."),
    ] = "enforce"
    network: NetworkDocument = section()
    shell: ShellDocument = section()
    tools: ToolsDocument = section()
    guards: GuardsDocument = section()
    lists: ListsDocument = section()
    secrets: SecretsDocument = section()
    gpu: GpuDocument = section()
    audit: AuditDocument = section()


def validate[M: BaseModel](model: type[M], node: Node, file: str) -> M:
    """Turn a parsed file into its model. Raises PolicyError with the line of every fault."""
    try:
        return model.model_validate(node.value)
    except ValidationError as error:
        problems = [_problem(model, dict(each), node, file) for each in error.errors()]
    raise PolicyError(sorted(problems, key=lambda problem: problem.line))


def _problem(model: type[BaseModel], error: dict[str, Any], node: Node, file: str) -> Problem:
    location = error["loc"]
    key = location[-1] if location else ""
    fault = error.get("ctx", {}).get("error")
    if isinstance(fault, Fault):
        what, write = fault.what, fault.write
    elif error["type"] == "extra_forbidden":
        known = known_keys(model, location[:-1])
        what, write = f"unknown key {key!r}", unknown_key(str(key), error["input"], known)
    elif error["type"] == "missing":
        what, write = f"the key {key!r} is missing", f"{key}: ... (see policies/ for examples)"
    elif error["type"] == "literal_error":
        value = error["input"]
        what = f"{_path_text(node, location)}: {value!r} is not known{misread(value)}"
        write = str(error["ctx"]["expected"]).replace("'", "")
    else:
        path = _path_text(node, location)
        what, write = f"{path}: {error['input']!r} does not fit", fitting(path, error)
    return Problem(file, node.line_of(location), what, write)


def _path_text(node: Node, location: tuple[int | str, ...]) -> str:
    steps: list[str] = []
    for step in location:
        if step in node.children:
            node = node.children[step]
            steps.append(str(step))
    return ".".join(steps) or "the file"


def known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that a mapping at `location` may have."""
    for step in location:
        for name, info in model.model_fields.items():
            if step in (name, info.alias):
                model = _model_in(info.annotation) or model
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(each) for each in get_args(annotation))
    return next((each for each in found if each is not None), None)
