"""`firewall policy keygen | bundle | verify`: policies in one signed file."""

import os
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from firewall.cli.policies import PolicyName, problem, report

if TYPE_CHECKING:
    from firewall.notes import SigningKey
    from firewall.policy.bundle import Bundle

_DAYS = re.compile(r"([0-9]{1,5})d")
_ODD = re.compile(r"[^A-Za-z0-9.-]+")

Signer = Annotated[
    list[Path], typer.Option("--key", help="A private key that signs; see policy keygen.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The bundle (default: NAME.bundle here).")
]


def keygen(
    file: Annotated[Path, typer.Argument(help="Where to keep it; FILE.pub is its public half.")],
) -> None:
    """Make a key that signs bundles, and print its public half."""
    from firewall.notes import SigningKey

    name = f"{_ODD.sub('-', socket.gethostname()) or 'localhost'}/{_ODD.sub('-', file.name)}"
    key = SigningKey.generate(name)
    public = file.with_name(f"{file.name}.pub")
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as private:
            private.write(key.text() + "\n")
        public.write_text(f"{key.public}\n")
    except OSError as error:
        _wrong(f"{error.filename}: {error.strerror}; give a file that is not there yet")
    typer.echo(str(key.public))


def bundle(
    policy: PolicyName,
    key: Signer,
    *,
    version: Annotated[
        int | None, typer.Option(min=1, help="Default: one more than the output's own, or 1.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="The last day it is taken, as 90d or 2027-01-31.")
    ] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option(help="A group of machines that it is for (default: any); may be repeated."),
    ] = None,
    output: Output = None,
) -> None:
    """Put a policy, all it extends and its lists into one signed file."""
    from firewall.policy import PolicyError
    from firewall.policy.bundle import ANYTHING, read_bundle
    from firewall.policy.bundling import bundle as bundled
    from firewall.policy.loading import load

    try:
        path = output or Path(f"{load(policy, trust=ANYTHING).name}.bundle")
        before = read_bundle(path)
        number = version or (before.contents.version + 1 if before else 1)
        groups = [_group(each) for each in audience or ()]
        text = bundled(policy, number, _day(expires), [_private(each) for each in key], groups)
    except PolicyError as error:
        report(error)
        raise typer.Exit(1) from None
    try:
        _place(path, text)
    except OSError as error:
        _wrong(f"{path}: {error.strerror}")
    typer.echo(f"{path}: version {number}")


def verify(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The signed file.")],
    key: Annotated[str, typer.Option(help="The public key, NAME+ID+KEY, or its file.")],
    at_least: Annotated[int, typer.Option(min=0, help="The least version that is taken.")] = 0,
    audience: Annotated[str, typer.Option(help="The group of machines that it must be for.")] = "",
) -> None:
    """Check a bundle as a gate would that is told this key, and say what is in it."""
    from firewall.policy import PolicyError, load_policy
    from firewall.policy.bundle import (
        AUDIENCE_VARIABLE,
        KEY_VARIABLE,
        VERSION_VARIABLE,
        Trust,
        read_bundle,
    )

    asked = {KEY_VARIABLE: key, VERSION_VARIABLE: str(at_least), AUDIENCE_VARIABLE: audience}
    try:
        trust: Trust = Trust.required(asked)
        policy = load_policy(file, trust=trust)
        found = read_bundle(file)
    except PolicyError as error:
        report(error)
        raise typer.Exit(1) from None
    if found is not None:
        typer.echo(f"{_facts(found)}\n  sha256   {policy.digest}")


def _facts(found: "Bundle") -> str:
    contents = found.contents
    until = f"{contents.expires:%Y-%m-%d %H:%M} UTC" if contents.expires else "never"
    names = [*(name for name, _ in contents.files), *(name for _, name, _ in contents.lists)]
    return (
        f"ok {found.path}: {contents.name}, version {contents.version}\n"
        f"  created  {contents.created:%Y-%m-%d %H:%M} UTC\n  expires  {until}\n"
        f"  audience {', '.join(contents.audience) or 'any'}\n"
        f"  signers  {found.signers}\n  files    {', '.join(names)}"
    )


def _private(path: Path) -> "SigningKey":
    from firewall.notes import SigningKey

    try:
        return SigningKey.parse(path.read_text().strip())
    except (OSError, ValueError) as error:
        _wrong(f"--key: {error}; make one with: firewall policy keygen {path}")


def _group(text: str) -> str:
    from firewall.policy.bundle import group

    try:
        return group(text)
    except ValueError as error:
        _wrong(f"--audience: {error}")


def _day(text: str | None) -> datetime | None:
    """The end of a day, in UTC."""
    if text is None:
        return None
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if days := _DAYS.fullmatch(text):
        return today + timedelta(days=int(days[1]) + 1)
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except ValueError:
        _wrong(f"--expires {text} is no day; write it as 90d or 2027-01-31")


def _place(path: Path, text: str) -> None:
    """Whole or not at all: a gate may be reading it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def _wrong(text: str) -> NoReturn:
    problem(text)
    raise typer.Exit(1)
