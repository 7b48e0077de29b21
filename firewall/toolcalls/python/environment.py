"""Guard the environments in which reinforcement learning runs an agent's commands."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from firewall.toolcalls.client import Answer
from firewall.toolcalls.python.api import Firewall

type Refuse = Callable[[Answer], Any]

EXECUTE: Mapping[str, str] = {"execute": "command"}


def output(answer: Answer) -> dict[str, Any]:
    """A refusal as the output of a command that could not be executed (exit status 126)."""
    return {"output": answer.text or answer.reason, "returncode": 126}


def guard_environment(
    environment: Any,
    firewall: Firewall,
    methods: Mapping[str, str] = EXECUTE,
    refuse: Refuse = output,
) -> Any:
    """Replace methods of `environment` by guarded ones, and return it.

    `methods` names each method and the parameter that is its command: shell text, a list of words,
    or a mapping with a "command". `refuse` makes a refusal into what the method returns. Raises
    AttributeError or ValueError where there is no such method or parameter.
    """
    for name, parameter in methods.items():
        method = getattr(environment, name)
        if parameter not in inspect.signature(method).parameters:
            raise ValueError(f"{name} has no parameter {parameter!r}; name its command's parameter")
        setattr(environment, name, _guarded(method, parameter, firewall, refuse))
    return environment


def _guarded(
    method: Callable[..., Any], parameter: str, firewall: Firewall, refuse: Refuse
) -> Callable[..., Any]:
    signature = inspect.signature(method)

    def about(args: Any, kwargs: Any) -> tuple[dict[str, Any], str]:
        given = signature.bind(*args, **kwargs).arguments
        command = given.get(parameter)
        if isinstance(command, Mapping):
            command = command.get("command")
        command = list(command) if isinstance(command, tuple) else command
        return {"command": command}, str(given.get("cwd") or "")

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def later(*args: Any, **kwargs: Any) -> Any:
            arguments, directory = about(args, kwargs)
            answer = await firewall.acheck("bash", arguments, directory=directory)
            return await method(*args, **kwargs) if answer.allowed else refuse(answer)

        return later

    @functools.wraps(method)
    def now(*args: Any, **kwargs: Any) -> Any:
        arguments, directory = about(args, kwargs)
        answer = firewall.check("bash", arguments, directory=directory)
        return method(*args, **kwargs) if answer.allowed else refuse(answer)

    return now
