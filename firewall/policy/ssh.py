"""What a rule may say about SSH: who logs in, what may be asked for inside, and whom it trusts."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from firewall.policy.amounts import AmountText, TimeText, amount, matching, seconds
from firewall.policy.errors import Fault
from firewall.policy.hosts import parse_host
from firewall.policy.limits import LimitsForm, several
from firewall.policy.paths import PathGlob
from firewall.policy.strict import Strict, says

HARMLESS_VARIABLES = ("LANG", "LC_*", "GIT_PROTOCOL")
"""What every client sends, and git needs for its protocol's version 2."""

_USER = re.compile(r"[^\s@:/]+")
_SUBSYSTEM = re.compile(r"[!-~]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_*][A-Za-z0-9_*]*")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:(?:/|~/).+")


def _command(text: str) -> str:
    if not text.strip():
        raise Fault("an empty command is a shell", "shell: true, if that is meant")
    program, *rest = text.split()
    if program == "*" and rest:
        raise Fault(f"{text!r} names no program", 'a program first, as in "git-upload-pack *"')
    return text


def _destination(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Fault(f"{text!r} is not HOST:PORT", "db.internal:5432")
    parse_host(host.strip("[]"))
    return text


def _own_file(text: str) -> str:
    if not text.startswith(("/", "~/")):
        raise Fault(f"{text!r} is no path from the root or from ~", f"/etc/firewall/{text}")
    return text


def _file_glob(text: str) -> str:
    if not text.startswith(("/", "~/")):
        raise Fault(
            f"the path {text!r} starts nowhere", f"~/{text} in the login's home, or /{text}"
        )
    file_glob(text)
    return text


def file_glob(text: str) -> PathGlob:
    """The compiled glob of a path on a server. Raises Fault."""
    return PathGlob(f"/{text}" if text.startswith("~") else text)


UserText = Annotated[str, matching(_USER, "a user's name", "git")]
SubsystemText = Annotated[str, matching(_SUBSYSTEM, "a subsystem's name", "sftp")]
VariableText = Annotated[str, matching(_VARIABLE, "a variable's name", '"LC_*"')]
FingerprintText = Annotated[
    str, matching(_FINGERPRINT, "a key's fingerprint", "SHA256:... as `ssh-keygen -lf` prints it")
]
SecretText = Annotated[str, matching(_SECRET, "a secret's place", "env:NAME or file:/PATH")]
OwnFile = Annotated[str, AfterValidator(_own_file)]
"""A file of the firewall's machine, wherever the firewall's processes work."""
CommandText = Annotated[str, AfterValidator(_command)]
DestinationText = Annotated[str, AfterValidator(_destination)]
FileGlob = Annotated[str, AfterValidator(_file_glob)]


class Forwards(Strict):
    """The connections that may be opened from the server, as "host:port"; none in reverse, ever."""

    local: list[DestinationText] = Field(min_length=1)


class Files(Strict):
    """Which paths SFTP and scp may read and write: globs as of requests, or ~/... in the home."""

    read: list[FileGlob] = Field(default_factory=list)
    write: list[FileGlob] = Field(default_factory=list)


class Certificate(Strict):
    """A user certificate made for each connection, signed by the key file `authority`.

    Without `principals` it is good for the user who logs in only.
    """

    authority: OwnFile
    principals: list[str] = Field(default_factory=list)
    minutes: Annotated[int, Field(ge=1, le=1440)] = 5


class Login(Strict):
    """How the firewall proves itself to the server. The agent never holds any of it.

    `key` is a private key's file, `agent` the socket of an ssh-agent of the host (true: the one in
    SSH_AUTH_SOCK), `password` the place of a secret.
    """

    key: OwnFile | None = None
    agent: Literal[True] | OwnFile | None = None
    certificate: Certificate | None = None
    password: SecretText | None = None


class SshLimits(Strict):
    """Bounds of one SSH connection."""

    sessions: Annotated[int, Field(ge=1, le=1000)] = 10
    forwards: Annotated[int, Field(ge=1, le=10000)] = 100
    sent: AmountText | None = None
    received: AmountText | None = None
    idle: TimeText = "1h"
    total: TimeText | None = None

    @property
    def seconds(self) -> tuple[int, int | None]:
        """How long a connection may stay idle, and how long it may last."""
        return seconds(self.idle), None if self.total is None else seconds(self.total)

    @property
    def bytes(self) -> tuple[int | None, int | None]:
        """How many bytes may be sent, and received."""
        sent = None if self.sent is None else amount(self.sent)
        return sent, None if self.received is None else amount(self.received)


def _form(value: Any) -> str:
    """Told apart by form, so that a fault in one is not also reported as not being the other."""
    return "word" if isinstance(value, str) else "more"


Forwarding = Annotated[
    Annotated[Literal["trusted"], Tag("word")] | Annotated[Forwards, Tag("more")],
    Discriminator(_form),
]
HostKeys = Annotated[
    Annotated[Literal["known", "learn"], Tag("word")]
    | Annotated[list[FingerprintText], Tag("more")],
    Discriminator(_form),
]


class SshKeys(Strict):
    """The keys of a rule that are about SSH. Nothing is allowed inside that they do not name."""

    users: Annotated[
        list[UserText] | None, says("Names to log in by; any where none is written.")
    ] = Field(default=None, min_length=1)
    commands: Annotated[list[CommandText] | None, says("Commands that may be run, as globs.")] = (
        Field(default=None, min_length=1)
    )
    subsystems: Annotated[
        list[SubsystemText] | None,
        says("Subsystems such as `sftp`, which `files` opens by itself."),
    ] = Field(default=None, min_length=1)
    env: Annotated[list[VariableText] | None, says("Variables that may be set, as globs.")] = None
    shell: Annotated[bool | None, says("Whether an interactive shell may be opened.")] = None
    forwarding: Annotated[
        Forwarding | None,
        says("What may be reached through the server, or `trusted`: all of it unread."),
    ] = None
    files: Annotated[Files | None, says("What SFTP and scp may read and write.")] = None
    host_keys: Annotated[HostKeys | None, says("How the server proves itself.")] = Field(
        default=None, alias="host-keys"
    )
    login: Annotated[
        Login | None,
        says("How the firewall logs in, with what the agent never holds."),
    ] = None
    limits: Annotated[
        LimitsForm | None,
        says("How much may pass within a time; for SSH also the bounds of one connection."),
    ] = None


SSH_KEYS = tuple(
    info.alias or name for name, info in SshKeys.model_fields.items() if name != "limits"
)
INSIDE = ("commands", "subsystems", "shell", "files")
"""Keys of which a rule for SSH needs at least one, or a forward: else it allows nothing."""


class SshTerms(Strict):
    """What a resolved rule allows inside SSH, with all defaults written out."""

    users: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    subsystems: tuple[str, ...] = ()
    env: tuple[str, ...] = HARMLESS_VARIABLES
    shell: bool = False
    local_forwards: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    files: bool = False
    host_keys: Literal["known", "learn"] | tuple[str, ...] = "known"
    login: Login = Field(default_factory=Login)
    limits: SshLimits = Field(default_factory=SshLimits)


def terms(keys: SshKeys) -> SshTerms:
    """The resolved form of a rule's SSH keys."""
    bounds = {key: each for _, limit in several(keys.limits) for key, each in limit.bounds.items()}
    forwards = keys.forwarding.local if isinstance(keys.forwarding, Forwards) else ()
    host_keys = keys.host_keys or "known"
    return SshTerms(
        users=tuple(keys.users or ()),
        commands=tuple(keys.commands or ()),
        subsystems=tuple(keys.subsystems or ()),
        env=HARMLESS_VARIABLES if keys.env is None else tuple(keys.env),
        shell=bool(keys.shell),
        local_forwards=tuple(forwards),
        read=tuple(keys.files.read if keys.files else ()),
        write=tuple(keys.files.write if keys.files else ()),
        files=keys.files is not None,
        host_keys=tuple(host_keys) if isinstance(host_keys, list) else host_keys,
        login=keys.login or Login(),
        limits=SshLimits(**bounds),
    )
