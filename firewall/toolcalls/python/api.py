"""Ask about a tool call, and guard functions so that none runs unasked."""

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.client import Answer, check, refusal
from firewall.toolcalls.places import socket_path

if TYPE_CHECKING:
    from firewall.toolcalls.python.local import LocalJudge

TIMEOUT = 300.0
"""Seconds until a call that nobody has judged is denied."""


class Denied(PermissionError):  # noqa: N818 - what it says to who catches it
    """The firewall did not allow a call; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text or answer.reason)
        self.answer = answer


class Firewall:
    """Asks the service whose Unix socket is `socket` (default: `socket_path`), or judges here.

    With a `policy` (a file, or a preset's name) a judge of this process decides, and records each
    call below the folder `log`; rules with labels hold where `labels` fit. What the policy leaves
    to a person waits for one, who answers with `firewall approvals`. Where the service is down,
    fails or takes longer than `timeout` seconds, the answer is a deny.
    """

    def __init__(
        self,
        socket: str | None = None,
        *,
        policy: str | None = None,
        log: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if (policy is None) != (log is None):
            raise ValueError("policy and log belong together: no call is allowed unrecorded")
        if labels and policy is None:
            raise ValueError("labels are for a policy; else give them to firewall tools serve")
        self._socket = socket if socket is not None else socket_path()
        self._timeout = timeout
        self._local = (
            None
            if policy is None or log is None
            else _local_judge(policy, log, labels or {}, timeout)
        )

    def close(self) -> None:
        """End what a judge of this process needs; every later call is denied."""
        if self._local is not None:
            self._local.close()

    def check(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str | None = None,
        agent: str = "python",
        session: str = "",
        directory: str = "",
    ) -> Answer:
        """The answer to one call. Never raises: what cannot be asked is denied."""
        try:
            plain = json.loads(json.dumps(dict(arguments), default=str))
            call = Call(tool, plain, call_id, agent, session=session, directory=directory)
            if self._local is not None:
                return self._local.check(call)
            return check(call, self._socket, wait=True, timeout=self._timeout)
        except Exception as error:
            return refusal("python", repr(error))

    async def acheck(self, tool: str, arguments: Mapping[str, Any], **about: Any) -> Answer:
        """`check` for asyncio; the loop goes on meanwhile."""
        return await asyncio.to_thread(self.check, tool, arguments, **about)

    def guard[**P, R](self, function: Callable[P, R]) -> Callable[P, R]:
        """A function that runs where its call is allowed, and raises Denied where it is not.

        The tool is the function's name, its arguments those of the signature, defaults included.
        """
        signature = inspect.signature(function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: P.args, **kwargs: P.kwargs) -> Any:
                bound = _bind(signature, *args, **kwargs)
                _demand(await self.acheck(function.__name__, bound))
                return await function(*args, **kwargs)

            return later  # type: ignore[return-value]

        @functools.wraps(function)
        def now(*args: P.args, **kwargs: P.kwargs) -> R:
            _demand(self.check(function.__name__, _bind(signature, *args, **kwargs)))
            return function(*args, **kwargs)

        return now


def _local_judge(policy: str, log: str, labels: Mapping[str, str], timeout: float) -> "LocalJudge":
    from firewall.toolcalls.python.local import LocalJudge  # a second that asking does not need

    return LocalJudge(policy, log, labels, timeout)


def _bind(signature: inspect.Signature, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _demand(answer: Answer) -> None:
    if not answer.allowed:
        raise Denied(answer)
