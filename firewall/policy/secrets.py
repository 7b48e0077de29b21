"""What a person writes under `secrets:`: what must not leave, besides what the firewall holds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from firewall.credentials import Watched
from firewall.keyformats import ENTROPY, NAMES
from firewall.policy.errors import Fault
from firewall.policy.hosts import parse_host
from firewall.policy.strict import Strict, says
from firewall.policy.suggest import closest

TOOLS: Mapping[str, str] = {"pip": "pypi", "uv": "pypi", "npm": "npm"}
"""Whose tokens are at home where a package tool of this machine downloads from."""


def _file(text: str) -> str:
    if "**" in text:
        raise Fault(f"{text!r} would search whole trees", "the folders by name, such as src/*/.env")
    if not text.strip("*/.~ "):
        raise Fault(f"{text!r} names no files", '"~/.ssh/id_*", or .env')
    return text


def _format(text: str) -> str:
    if text not in NAMES:
        raise Fault(f"no keys are called {text!r}", closest(text, NAMES))
    return text


def _home(text: str) -> str:
    if parse_host(text).network is not None:
        raise Fault(f"{text!r} is no name, and keys are at home where names lead", "example.com")
    return text


FileText = Annotated[str, AfterValidator(_file)]
FormatName = Annotated[str, AfterValidator(_format)]
HomeText = Annotated[str, AfterValidator(_home)]


class SecretsDocument(Strict):
    """What must not leave (`guards.secrets` refuses it), besides what `inject` holds: what stands
    in files that are marked here, and keys of known formats anywhere but at home.

    `files` and `homes` of all files of a policy add up; of the other keys the last one decides.
    """

    files: Annotated[
        list[FileText],
        says("Secret files by path, from `~`, the root or the start folder; `*` within a name."),
    ] = Field(default_factory=list)
    formats: Annotated[
        list[FormatName] | None,
        says("The only formats of keys that are looked for; `[]` for none. All, if not written."),
    ] = None
    exclude: Annotated[
        list[FormatName] | None, says("Formats of keys that are not looked for.")
    ] = Field(default=None, alias="except")
    homes: Annotated[
        dict[FormatName, list[HomeText]],
        says("Hosts that keys of a format are for, besides its owner's: `gitlab: [git.a.test]`."),
    ] = Field(default_factory=dict)
    entropy: Annotated[
        Literal["warn", "ignore"] | None,
        says("`warn` records random texts behind names such as password, as suspicious."),
    ] = None


def watched(documents: Sequence[SecretsDocument], learned: Iterable[tuple[str, str]]) -> Watched:
    """What all files together want looked for; `learned` are tools and hosts they download from."""
    homes: dict[str, dict[str, None]] = {}
    for each in documents:
        for name, hosts in each.homes.items():
            homes.setdefault(name, {}).update(dict.fromkeys(hosts))
    for tool, host in learned:
        if tool in TOOLS:
            homes.setdefault(TOOLS[tool], {}).update({host: None, f"*.{host}": None})
    files = dict.fromkeys(text for each in documents for text in each.files)
    return Watched(
        tuple(files), _formats(documents), {name: tuple(each) for name, each in homes.items()}
    )


def _formats(documents: Sequence[SecretsDocument]) -> tuple[str, ...]:
    only, without, entropy = list(NAMES), list[str](), "ignore"
    for each in documents:
        only = only if each.formats is None else each.formats
        without = without if each.exclude is None else each.exclude
        entropy = each.entropy or entropy
    named = [name for name in NAMES if name in only and name not in without]
    return (*named, *([ENTROPY] if entropy == "warn" else []))
