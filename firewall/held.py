"""A secret in hand: read from where the policy says, and known to the agent by a placeholder."""

import os
import secrets as random
import shlex
import subprocess
from dataclasses import field, replace
from pathlib import Path

from firewall.credentials import Secret
from firewall.frozen import frozen
from firewall.policy.errors import Problem
from firewall.protocols.needles import SHORTEST

COMMAND_SECONDS = 10.0
LONGEST = 8 << 10
"""Bytes of a secret."""


@frozen
class Held:
    """A secret, its placeholder, and its value; or `why` there is none, in words for people.

    `earlier` is another value that it had before, which servers may know for a while; "" for none.
    """

    secret: Secret
    placeholder: str
    value: str = field(default="", repr=False)
    why: str = "it was not read yet"
    earlier: str = field(default="", repr=False)


def placeholder(secret: Secret) -> str:
    """Worth nothing, and of a form that clients take: letters, digits and what begins it."""
    if secret.looks_like == "AKIA":
        return secret.looks_like + "".join(random.choice(_BASE32) for _ in range(16))
    return f"{secret.looks_like}placeholder{random.token_hex(16)}"


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def after(before: Held | None, now: Held) -> Held:
    """A secret that was read again, which remembers the last value that was another."""
    values = (before.value, before.earlier) if before else ()
    return replace(now, earlier=next((each for each in values if each not in ("", now.value)), ""))


def read(held: Held) -> Held:
    """A secret with what its source says now, or why that cannot be told."""
    kind, _, place = held.secret.source.partition(":")
    try:
        value = {"env": _variable, "file": _file, "command": _command}[kind](place).strip()
        _check(value)
    except (OSError, ValueError) as error:
        return replace(held, value="", why=_reason(error))
    return replace(held, value=value, why="")


def _check(value: str) -> None:
    if len(value) < SHORTEST:
        raise ValueError(f"it has fewer than {SHORTEST} characters, which no key has")
    if not value.isprintable() or not value.isascii():
        raise ValueError("it is not one line of plain text, as keys are")


def _variable(name: str) -> str:
    if name not in os.environ:
        raise ValueError(f"the variable {name} is not set where the firewall runs")
    return os.environ[name]


def _file(place: str) -> str:
    with open(Path(place).expanduser(), "rb") as file:
        return _text(file.read(LONGEST + 1))


def _command(text: str) -> str:
    """What a command prints. Neither that nor what it says of errors is ever repeated."""
    words = shlex.split(text)
    try:
        ran = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ValueError(f"{words[0]} took more than {COMMAND_SECONDS:g} seconds") from None
    if ran.returncode:
        raise ValueError(f"{words[0]} ended with status {ran.returncode}")
    return _text(ran.stdout)


def _text(data: bytes) -> str:
    if len(data) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    return data.decode("latin-1")


def _reason(error: Exception) -> str:
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)


def problem(held: Held) -> Problem:
    """Where the policy names a secret that cannot be read, and what to do."""
    file, _, line = held.secret.where.rpartition(":")
    what = f"the secret {held.secret.source.partition(' ')[0]} cannot be read: {held.why}"
    return Problem(
        file, int(line or 0), what, "from: where the secret is, readable for the firewall"
    )
