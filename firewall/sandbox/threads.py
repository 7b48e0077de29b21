"""The thread from a tool call to the processes that it started, and so to all that they do.

An agent asks about a call and then runs it: the program that is executed below the agent with the
call's command among its arguments is the call's, and so is whatever it starts in turn. A program
that the agent starts with another text (quoted anew, or from a file) belongs to no call.
"""

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from firewall.actor import Actor, Process
from firewall.frozen import frozen

CALLS = 256
"""Calls that may wait for their program; the oldest are forgotten."""
PROCESSES = 65_536


@frozen
class _Expected:
    call_id: str
    commands: tuple[str, ...]
    agents: frozenset[int]


class Threads:
    """Remembers which processes belong to which call. Any thread may use it.

    Calls are known as they are recorded; `clean` takes out of a text what is left out there.
    `tell` hears of each process, when it started, and its call.
    """

    def __init__(self) -> None:
        self.clean: Callable[[str], str] = str
        self.tell: Callable[[int, float, str], None] | None = None
        self._lock = threading.Lock()
        self._expected: deque[_Expected] = deque(maxlen=CALLS)
        self._processes: OrderedDict[tuple[int, float], str] = OrderedDict()

    def verdict(self, event: Mapping[str, Any]) -> None:
        """Take note of an allowed tool call, as it is recorded."""
        request, actor = event["request"], event["actor"]
        if request["type"] != "ToolCall" or event["verdict"]["action"] == "deny":
            return
        commands = tuple(_commands(request.get("arguments", "")))
        chain = [actor.get("process"), *actor.get("ancestors", ())]
        pids = frozenset(each["pid"] for each in chain if each and each["pid"] > 1)
        if request.get("call_id") and commands and pids:
            with self._lock:
                self._expected.append(_Expected(request["call_id"], commands, pids))

    def started(self, actor: Actor, argv: Sequence[str]) -> Actor:
        """The actor that executes a program, with the call that the program belongs to."""
        if not self._expected and not self._processes:
            return actor
        chain = (actor.process, *actor.ancestors) if actor.process else ()
        with self._lock:
            begun = self._begun(actor.process, chain, argv)
            found = begun or self._known(chain)
        if begun and actor.process and self.tell is not None:
            self.tell(actor.process.pid, actor.process.started, begun)
        return replace(actor, tool_call=found) if found else actor

    def learn(self, pid: int, started: float, call: str) -> None:
        """A process belongs to a call."""
        with self._lock:
            self._keep((pid, started), call)

    def of(self, actor: Actor) -> Actor:
        """An actor with the call that it belongs to."""
        chain = (actor.process, *actor.ancestors) if actor.process else ()
        with self._lock:
            found = self._known(chain)
        return replace(actor, tool_call=found) if found else actor

    def _begun(
        self, process: Process | None, chain: Sequence[Process], argv: Sequence[str]
    ) -> str | None:
        """The newest call that waits for this program below its agent."""
        if process is None or not self._expected:
            return None
        pids = {each.pid for each in chain}
        argv = [self.clean(word) for word in argv]
        for each in reversed(self._expected):
            if each.agents & pids and any(text in word for text in each.commands for word in argv):
                self._keep((process.pid, process.started), each.call_id)
                return each.call_id
        return None

    def _keep(self, key: tuple[int, float], call_id: str) -> None:
        self._processes[key] = call_id
        if len(self._processes) > PROCESSES:
            self._processes.popitem(last=False)

    def _known(self, chain: Sequence[Process]) -> str | None:
        keys = ((each.pid, each.started) for each in chain)
        return next((self._processes[key] for key in keys if key in self._processes), None)


def _commands(arguments: str) -> list[str]:
    """The texts among a call's arguments that may be run: each text, and the last of a list."""
    with suppress(ValueError, RecursionError):
        values = json.loads(arguments)
        if isinstance(values, dict):
            lasts = (
                each[-1] if isinstance(each, list) and each else each for each in values.values()
            )
            return [each for each in lasts if isinstance(each, str) and len(each) > 1]
    return []
