"""What the daemon may be asked, as it comes out of a message."""

import re
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from firewall.policy.strict import Strict

PID_MAX = 1 << 22
"""proc_sys_kernel(5), pid_max."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_NAMES = "up to 63 letters, digits, dots, dashes and underscores"

type Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class RequestError(Exception):
    """It cannot be done; the text says why, and what to ask instead."""


class Attach(Strict):
    """Give a place the network that leads to the firewall. Exactly one place is named."""

    do: Literal["attach"]
    policy: str
    name: Name | None = None
    pid: Annotated[int, Field(gt=0, le=PID_MAX)] | None = None
    namespace: str | None = None
    container: str | None = None


class Create(Strict):
    """Make a network namespace that leads to the firewall."""

    do: Literal["create"]
    policy: str
    name: Name


class Status(Strict):
    """Tell of the sandboxes, so many as fit, whose names come after this one."""

    do: Literal["status"]
    after: str = ""


class Policies(Strict):
    """Tell of the policies in force, by the names that the node's file gives."""

    do: Literal["policies"]


class Act(Strict):
    """Do something to one sandbox. Only a quarantine knows `freeze`."""

    do: Literal["release", "quarantine", "reopen"]
    name: Name
    freeze: bool = False


type Request = Attach | Create | Status | Policies | Act

_ANY: TypeAdapter[Request] = TypeAdapter(
    Annotated[Attach | Create | Status | Policies | Act, Field(discriminator="do")]
)


def read(data: bytes) -> Request:
    """The request in a message. Raises RequestError."""
    try:
        request = _ANY.validate_json(data)
    except ValidationError as error:
        told = "; ".join(_fault(dict(each)) for each in error.errors())
        raise RequestError(f"the request is not understood: {told}") from error
    if isinstance(request, Attach):
        named = [each for each in (request.pid, request.namespace, request.container) if each]
        if len(named) != 1:
            raise RequestError("name one place: a pid, a namespace or a container")
    return request


def _fault(error: dict[str, object]) -> str:
    where = error["loc"]
    assert isinstance(where, tuple)
    if where and where[-1] == "name" and "pattern" in str(error["type"]):
        return f"a name is {_NAMES}"
    return f"{'.'.join(map(str, where[1:])) or 'do'}: {error['msg']}"
