"""Guard the environments in which reinforcement learning runs an agent's commands."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from firewall.toolcalls.client import Answer, refusal
from firewall.toolcalls.python.api import Firewall

type Refuse = Callable[[Answer], Any]


class UnreadableError(ValueError):
    """A command that cannot be judged."""


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
    or a mapping with a "command"; any other command is denied. The other arguments are judged too.
    mini-swe-agent's has {"execute": "action"}, slime's {"exec": "cmd"}, verifiers' {"run": "argv"}.
    `refuse` makes a refusal into what the method returns. Raises
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
        others = {name: value for name, value in given.items() if name != parameter}
        return {**others, "command": _command(given.get(parameter))}, str(given.get("cwd") or "")

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def later(*args: Any, **kwargs: Any) -> Any:
            arguments, directory = about(args, kwargs)
            answer = await firewall.acheck("bash", arguments, directory=directory)
            return await method(*args, **kwargs) if answer.allowed else refuse(answer)

        return later

    @functools.wraps(method)
    def now(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments, directory = about(args, kwargs)
        except UnreadableError as error:
            return refuse(refusal("python", error))
        answer = firewall.check("bash", arguments, directory=directory)
        return method(*args, **kwargs) if answer.allowed else refuse(answer)

    return now


def _command(value: Any) -> str | list[str]:
    """Shell text or a list of words. Raises UnreadableError for what cannot be judged."""
    if isinstance(value, Mapping):
        value = value.get("command")
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return list(value)
    raise UnreadableError(f"a command that is neither text nor a list of words: {value!r:.100}")
