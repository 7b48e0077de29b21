"""What a person writes under `shell:` and `tools:`: rules about programs and about tools.

A rule allows, denies or leaves to a person (`ask`) what its first key names; all its other keys
narrow it. Deny beats ask beats allow, so that the order of rules never matters; only an allow that
is for one call exactly beats an ask, as a person's consent to that call.
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, JsonValue, Tag

from firewall.policy.after import After
from firewall.policy.errors import Fault
from firewall.policy.globs import checked
from firewall.policy.holding import HeldKeys
from firewall.policy.jsonpaths import Where
from firewall.policy.strict import RuleName, Strict, says
from firewall.policy.suggest import closest
from firewall.requests import IntentName

type Choice = Literal["allow", "ask", "deny"]
type OpaqueChoice = Literal["leave-to-exec-gate", "ask", "deny"]

INTENTS: tuple[str, ...] = get_args(IntentName.__value__)
_KINDS = tuple(dict.fromkeys((*INTENTS, *(each.partition(".")[0] for each in INTENTS))))
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _program(text: str) -> str:
    if "/" in text and not text.startswith(("/", "*", "~/")):
        name = text.lstrip("./")
        raise Fault(f"{text!r} never matches: paths are whole", f'"*/{name}", or its name alone')
    if not text.strip("*/"):
        raise Fault(f"{text!r} would be every program", "any")
    if text.split()[1:] and "/" not in text:
        program, _, rest = text.partition(" ")
        what = f"{text!r} is a program with arguments"
        raise Fault(what, f'{program} here, and arguments: ["{rest}"]')
    return checked(text)


def _tool(text: str) -> str:
    if not text.strip("*"):
        raise Fault(f"{text!r} would be every tool", "any")
    if "(" in text:
        what = f"{text!r} is a tool with arguments"
        raise Fault(what, f"{text.partition('(')[0]} here, and where: {{...}}; or a rule of shell")
    return checked(text)


def _intent(text: str) -> str:
    if text not in _KINDS:
        raise Fault(f"{text!r} is no intent", closest(text, _KINDS))
    return text


def _folder(text: str) -> str:
    if not text.startswith("/") or "/../" in f"{text}/":
        raise Fault(f"{text!r} is no whole path of a folder", f"/{text.strip('./') or 'usr'}")
    if set(text) & set("*?["):
        raise Fault(f"{text!r} is a glob, and only folders can be meant", text.partition("*")[0])
    return text


def _folder_glob(text: str) -> str:
    if not text.startswith(("/", "*")):
        raise Fault(f"the folder {text!r} starts nowhere", f'"*/{text}" or "/{text}"')
    return checked(text)


def _digest(text: str) -> str:
    plain = text.removeprefix("sha256:").lower()
    if not _DIGEST.fullmatch(plain):
        raise Fault(f"{text!r} is no SHA-256", "64 hexadecimal digits, as sha256sum prints them")
    return plain


def _word(value: Any) -> Any:
    if isinstance(value, str) and value != "any":
        raise Fault(f"{value!r} stands alone", f"[{value}], or any")
    return value


def _form(value: Any) -> str:
    return "any" if isinstance(value, str) else "list"


ProgramText = Annotated[str, AfterValidator(_program)]
ToolText = Annotated[str, AfterValidator(_tool)]
GlobText = Annotated[str, AfterValidator(checked)]
IntentText = Annotated[str, AfterValidator(_intent)]
FolderText = Annotated[str, AfterValidator(_folder)]
FolderGlob = Annotated[str, AfterValidator(_folder_glob)]
DigestText = Annotated[str, AfterValidator(_digest)]
AnyText = Annotated[Literal["any"], BeforeValidator(_word)]
Programs = Annotated[
    Annotated[AnyText, Tag("any")]
    | Annotated[Annotated[list[ProgramText], Field(min_length=1)], Tag("list")],
    Discriminator(_form),
]
Tools = Annotated[
    Annotated[AnyText, Tag("any")]
    | Annotated[Annotated[list[ToolText], Field(min_length=1)], Tag("list")],
    Discriminator(_form),
]


class ExactRun(Strict):
    """One way to run a program: these arguments, word by word, in this folder (unwritten: any)."""

    arguments: list[str]
    directory: FolderText | None = None


class ExactCall(Strict):
    """One way to call a tool: these arguments and no others."""

    arguments: dict[str, JsonValue]


class ProgramRule(HeldKeys):
    """A rule of `shell.rules`, for every program that is run, by a tool's text or by execve(2).

    A program is named by its base name, or by a path glob where it holds a slash. `arguments` are
    globs over all arguments joined by blanks; `directories` cover what is below them; `digests` are
    of the program's file, which only the exec gate knows.
    """

    name: Annotated[RuleName, says("What verdicts and records call it.")]
    allow: Annotated[Programs | None, says("Programs that may run.")] = None
    ask: Annotated[Programs | None, says("Programs that wait for a person.")] = None
    deny: Annotated[Programs | None, says("Programs that may not run.")] = None
    arguments: Annotated[
        list[GlobText] | None,
        says("Globs of which one must fit all arguments, joined by blanks."),
    ] = Field(default=None, min_length=1)
    intents: Annotated[
        list[IntentText] | None,
        says("What the command is about to do, as `ssh` or `package.publish`."),
    ] = Field(default=None, min_length=1)
    directories: Annotated[list[FolderGlob] | None, says("Folders that it must work in.")] = Field(
        default=None, min_length=1
    )
    digests: Annotated[list[DigestText] | None, says("SHA-256 of the program's file.")] = Field(
        default=None, min_length=1
    )
    exactly: Annotated[
        ExactRun | None, says("One way to run it, as a person has agreed to it.")
    ] = None
    after: Annotated[After | None, says("Only after something was done before.")] = None
    reason: Annotated[str, says("Why there is such a rule; refusals tell it.")] = ""


class ToolRule(HeldKeys):
    """A rule of `tools.rules`: which tools, by globs over their names, and with what arguments.

    A tool of an MCP server is named mcp__SERVER__TOOL, whoever reports its call.
    """

    name: Annotated[RuleName, says("What verdicts and records call it.")]
    allow: Annotated[Tools | None, says("Tools that may be called.")] = None
    ask: Annotated[Tools | None, says("Tools whose calls wait for a person.")] = None
    deny: Annotated[Tools | None, says("Tools that may not be called.")] = None
    where: Annotated[Where | None, says("Conditions on arguments, by JSON paths.")] = None
    exactly: Annotated[ExactCall | None, says("One call, as a person has agreed to it.")] = None
    after: Annotated[After | None, says("Only after something was done before.")] = None
    reason: Annotated[str, says("Why there is such a rule; refusals tell it.")] = ""


class ShellDocument(Strict):
    """Everything about programs. `default` is for what no rule names (unwritten: allow, because the
    network is the boundary that holds), `opaque` for shell text that cannot be read (unwritten:
    leave-to-exec-gate, where each program that it starts is judged).

    `execute-from` are the only folders that programs may be executed from (unwritten: any).
    """

    default: Annotated[
        Choice | None,
        says("What happens to programs that no rule names; `allow` if not written."),
    ] = None
    opaque: Annotated[
        OpaqueChoice | None, says("What happens to shell text that cannot be read.")
    ] = None
    execute_from: Annotated[
        list[FolderText] | None,
        says("The only folders that programs may be executed from."),
    ] = Field(default=None, alias="execute-from", min_length=1)
    rules: Annotated[
        list[ProgramRule],
        says("Rules; their order does not matter. Deny beats ask beats allow."),
    ] = Field(default_factory=list)


class ToolsDocument(Strict):
    """Everything about tools. `default` is for what no rule names (unwritten: allow); `commands`
    says which argument of a tool is a command, for tools that are not known."""

    default: Annotated[
        Choice | None,
        says("What happens to tools that no rule names; `allow` if not written."),
    ] = None
    commands: Annotated[
        dict[str, str],
        says("Tools that are not known, and which argument of theirs is a command."),
    ] = Field(default_factory=dict)
    rules: Annotated[
        list[ToolRule],
        says("Rules; their order does not matter. Deny beats ask beats allow."),
    ] = Field(default_factory=list)


def choice(rule: ProgramRule | ToolRule) -> Choice:
    """What a checked rule does."""
    return "deny" if rule.deny else "ask" if rule.ask else "allow"


def named(rule: ProgramRule | ToolRule) -> tuple[str, ...] | None:
    """The programs or tools that a checked rule is for; None for any."""
    names = rule.deny or rule.ask or rule.allow
    return None if isinstance(names, str) or names is None else tuple(names)
