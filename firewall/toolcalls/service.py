"""The tool-call service: asks the judge about calls that come over HTTP.

    POST /v1/tool-calls        a call as JSON; answers what was decided
    POST /v1/tools             names of an MCP server's tools; answers which can never be called
    POST /v1/hooks/AGENT       what an agent's hook was given; answers what the hook is to do
    GET  /v1/openapi.json      all of this, for machines

`?wait=1` holds a call that is left to a person until one has answered.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs

from firewall import judge
from firewall.actor import Actor
from firewall.frozen import frozen
from firewall.judge import Judge, fail_closed
from firewall.toolcalls.calls import Call, explain, request_of
from firewall.toolcalls.dialects import DIALECTS, HookError, event_of
from firewall.toolcalls.dialects.reply import BLOCK, Reply
from firewall.toolcalls.listing import unusable
from firewall.toolcalls.openapi import DOCUMENT
from firewall.toolcalls.parsing import parse
from firewall.verdict import Action, Verdict

ANSWER_SECONDS = 20.0
"""How long a verdict may take that no person is asked about."""
NAMES = {"tool", "arguments", "id", "agent", "server", "session", "directory"}
TEXTS = ("tool", "agent", "server", "session", "directory")


@frozen
class Answer:
    """An HTTP answer. `headers` besides those of every answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class BadRequestError(ValueError):
    """A request that says something the service does not understand."""


class Service:
    """Answers requests on any thread. `post` runs work on the thread that owns the judge,
    `person_seconds` is how long a person may take."""

    def __init__(
        self,
        door: Judge,
        post: Callable[[Callable[[], None]], None],
        person_seconds: float = 330.0,
    ) -> None:
        self._judge = door
        self._post = post
        self._person_seconds = person_seconds

    def answer(self, method: str, target: str, body: bytes, actor: Actor) -> Answer:
        """Answer one request from `actor`. Never raises."""
        path, _, query = target.partition("?")
        try:
            if (method, path) == ("GET", "/v1/openapi.json"):
                return _json(200, DOCUMENT)
            if method != "POST":
                return _error(405, f"{method} is not served; use POST")
            return self._posted(path, query, body, actor)
        except BadRequestError as error:
            return _error(400, str(error))

    def _posted(self, path: str, query: str, body: bytes, actor: Actor) -> Answer:
        folder, _, agent = path.rpartition("/")
        if path == "/v1/tool-calls":
            wait = parse_qs(query).get("wait") == ["1"]
            return self._call(read_call(body), actor, wait=wait)
        if path == "/v1/tools":
            return self._tools(body)
        if folder == "/v1/hooks" and agent in DIALECTS:
            return self._hook(agent, body, actor)
        return _error(404, f"there is no {path}; see /v1/openapi.json")

    def _call(self, call: Call, actor: Actor, *, wait: bool) -> Answer:
        verdict = self._decide(call, actor, wait=wait)
        action = _action(verdict)
        return _json(
            200,
            {
                "action": action.value,
                "rule": verdict.rule,
                "reason": verdict.reason,
                "remedy": verdict.remedy,
                "text": "" if action is Action.ALLOW else explain(verdict),
            },
        )

    def _tools(self, body: bytes) -> Answer:
        """What an agent need not be shown. No call is judged here, so nothing is recorded."""
        server, tools = read_tools(body)
        return _json(200, {"unusable": sorted(unusable(self._judge.policy, server, tools))})

    def _hook(self, agent: str, body: bytes, actor: Actor) -> Answer:
        dialect = DIALECTS[agent]
        event: dict[str, Any] = {}
        try:
            event = event_of(_parsed(body))
            call = dialect.read(event)
        except (HookError, BadRequestError) as error:
            text = f"Blocked by the firewall: the hook's input cannot be read: {error}"
            return _reply(dialect.deny(event, text))
        verdict = self._decide(call, actor, wait=dialect.ask is None)
        return _reply(dialect.reply(event, _action(verdict), explain(verdict)))

    def _decide(self, call: Call, actor: Actor, *, wait: bool) -> Verdict:
        """Ask the judge, on its own thread, and wait for it here."""
        future: Future[Verdict] = Future()

        def refuse(verdict: Verdict) -> None:
            with suppress(InvalidStateError):  # too late: the caller has been told no
                future.set_result(verdict)

        with fail_closed(self._judge, "toolcalls.decide", refuse, actor=actor):
            judge.probe("toolcalls.decide")
            request = request_of(call, self._judge.policy.command_arguments)

            def ask() -> None:
                self._judge.decide(request, actor, {}, refuse, hold=wait)

            self._post(ask)
            future.result(self._person_seconds if wait else ANSWER_SECONDS)
        return future.result(0)


def read_call(body: bytes) -> Call:
    """A call as the service is sent it. Raises BadRequestError."""
    given = _parsed(body)
    if not isinstance(given, dict):
        raise BadRequestError("the body is no JSON object")
    if unknown := given.keys() - NAMES:
        raise BadRequestError(f"unknown: {', '.join(sorted(unknown))}; known: {_known()}")
    for name in TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise BadRequestError(f"{name} must be text")
    if not given.get("tool"):
        raise BadRequestError(f"tool is missing; known: {_known()}")
    arguments, call_id = given.get("arguments", {}), given.get("id")
    if not isinstance(arguments, dict):
        raise BadRequestError("arguments must be an object")
    if not isinstance(call_id, str | None):
        raise BadRequestError("id must be text")
    texts = {name: given.get(name, "") for name in TEXTS}
    return Call(arguments=arguments, call_id=call_id, **texts)


def read_tools(body: bytes) -> tuple[str, list[str]]:
    """A server and the names of its tools, as the service is sent them. Raises BadRequestError."""
    match _parsed(body):
        case {"server": str(server), "tools": [*tools]} if all(isinstance(t, str) for t in tools):
            return server, tools
    raise BadRequestError('the body is not {"server": NAME, "tools": [NAME, ...]}')


def _known() -> str:
    return ", ".join(sorted(NAMES))


def _parsed(body: bytes) -> Any:
    try:
        return parse(body)
    except ValueError as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error


def _action(verdict: Verdict) -> Action:
    """What was decided, as far as it is enforced."""
    return Action.ALLOW if verdict.allowed else verdict.action


def _reply(reply: Reply) -> Answer:
    """What a hook is to do: print the body, or complain with it, and exit with a status."""
    text = reply.complaint if reply.status == BLOCK else reply.output
    exit_status = {"X-Hook-Exit": str(reply.status)}
    return Answer(200, text.encode(errors="replace"), exit_status, "text/plain; charset=utf-8")


def _json(status: int, document: Any) -> Answer:
    return Answer(status, json.dumps(document).encode())


def _error(status: int, why: str) -> Answer:
    return _json(status, {"error": why})
