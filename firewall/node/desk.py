"""Carries the requests out: asks whether a caller may, and makes, tells of and ends sandboxes.

What waits for the kernel is done on helper threads; the sandboxes themselves belong to the loop's.
"""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from firewall import judge
from firewall.judge import fail_closed
from firewall.node import maker
from firewall.node.claims import Claims
from firewall.node.client import MESSAGE_LIMIT
from firewall.node.config import NodeConfig, Peer, may, may_to_any
from firewall.node.containers import UnknownContainerError
from firewall.node.maker import Made
from firewall.node.place import PlaceError
from firewall.node.requests import Act, Attach, Create, Policies, Request, RequestError, Status
from firewall.node.sandbox import Identity, Sandbox, Shared
from firewall.node.trust import Trusted, environment
from firewall.policy import Policy
from firewall.proxy.loop import READ
from firewall.proxy.refusal import sentence
from firewall.sandbox.inhabitants import inhabitants
from firewall.verdict import Verdict

THREADS = 8
PAGE_BYTES = MESSAGE_LIMIT // 2
"""Of the sandboxes in one answer."""
LOOK_SECONDS = 5.0
"""Between looks at a network whose first process has ended."""

type Reply = Callable[[dict[str, Any]], None]


class Desk:
    """The sandboxes of a node. `policies` are those in force, by the names that the file gives."""

    def __init__(
        self, shared: Shared, config: NodeConfig, policies: Mapping[str, Policy], trusted: Trusted
    ) -> None:
        self._shared = shared
        self._config = config
        self._policies = dict(policies)
        self._trusted = trusted
        self._claims = Claims()
        self._sandboxes: dict[str, Sandbox] = {}
        self._helpers = ThreadPoolExecutor(THREADS, "attach")
        self._closed = False

    def serve(self, request: Request, peer: Peer, reply: Reply) -> None:
        """Answer a request once, now or later. Raises RequestError."""
        match request:
            case Status(after=after):
                reply(self._status(peer, after))
            case Policies():
                told = {name: each.standing() for name, each in self._policies.items()}
                reply({"policies": told})
            case Act(do="release"):
                self._end(self._found(request, peer), partial(reply, {}))
            case Act(do="quarantine"):
                found = self._found(request, peer)
                found.quarantine.impose(str(peer), freeze=request.freeze, reply=reply)
            case Act():
                self._found(request, peer).quarantine.release(str(peer), reply)
            case Attach() | Create():
                self._must_know(request.policy)
                self._must_be_granted(peer, request)
                self._helpers.submit(self._make, request, peer, reply)

    def sandboxes(self) -> Mapping[int, str]:
        """The name of each network's sandbox, for whoever looks at the machine's processes."""
        return {each.namespace: name for name, each in list(self._sandboxes.items())}

    def replace_policy(self, name: str, policy: Policy) -> None:
        """Judge by another policy from the next request on, wherever it is this name's."""
        self._policies[name] = policy
        for each in self._sandboxes.values():
            if each.identity.policy == name:
                each.replace_policy(policy)

    def look_at_marked(self) -> None:
        """Look for what stands in marked files by now as well."""
        for each in list(self._sandboxes.values()):
            each.gate.look_at_marked()

    def close(self, done: Callable[[], None]) -> None:
        """End every sandbox's way out, and call `done` when their records are written."""
        self._closed = True
        self._helpers.shutdown(wait=False, cancel_futures=True)
        for each in list(self._sandboxes.values()):
            self._end(each)
        self._until_none_is_left(done)

    def _until_none_is_left(self, done: Callable[[], None]) -> None:
        if self._claims.none_left:
            done()
        else:
            self._shared.loop.after(0.05, partial(self._until_none_is_left, done))

    # Who may

    def _must_know(self, policy: str) -> None:
        if policy not in self._policies:
            known = ", ".join(sorted(self._policies))
            raise RequestError(f"this node has no policy {policy!r}; it has: {known}")

    def _must_be_granted(self, peer: Peer, request: Attach | Create) -> None:
        """Before anything is looked for: nobody else has the machine searched."""
        if not may_to_any(self._config, peer, request.do, request.policy):
            raise RequestError(
                f"uid {peer.uid} may not {request.do} anything with the policy {request.policy!r};"
                " the node's file says who may, under grants"
            )

    def _check(self, peer: Peer, deed: str, policy: str, owner: int) -> None:
        if not may(self._config, peer, deed, policy, owner):
            raise RequestError(
                f"uid {peer.uid} may not {deed} with the policy {policy!r} what belongs to uid"
                f" {owner}; the node's file says who may, under grants"
            )

    def _found(self, request: Act, peer: Peer) -> Sandbox:
        """The sandbox; one that the caller may not see is as if it were not there."""
        sandbox = self._sandboxes.get(request.name)
        if sandbox is None or not self._sees(peer, sandbox, request.do):
            raise RequestError(f"there is no sandbox {request.name!r} that you may {request.do}")
        return sandbox

    def _sees(self, peer: Peer, sandbox: Sandbox, deed: str) -> bool:
        return may(self._config, peer, deed, sandbox.identity.policy, sandbox.identity.owner)

    def _status(self, peer: Peer, after: str) -> dict[str, Any]:
        """One page of the sandboxes in the order of their names: a message has its limit."""
        names = sorted(name for name in self._sandboxes if name > after)
        seen = [self._sandboxes[name] for name in names]
        seen = [each for each in seen if self._sees(peer, each, "status")]
        page: list[dict[str, Any]] = []
        room = PAGE_BYTES
        for each in seen:
            told = each.status()
            room -= len(json.dumps(told))
            if page and room < 0:
                break
            page.append(told)
        return {"sandboxes": page, "more": len(seen) > len(page)}

    # Making

    def _make(self, request: Attach | Create, peer: Peer, reply: Reply) -> None:
        """On a helper thread."""

        def refuse(verdict: Verdict) -> None:
            self._shared.loop.post(lambda: reply({"error": sentence(verdict)}))

        with fail_closed(self._shared.own, "node.make", refuse, actor=peer.actor):
            judge.probe("node.make")
            try:
                made = self._prepared(request, peer)
            except (RequestError, PlaceError, UnknownContainerError, OSError) as error:
                answer = {"error": str(error)}
                self._shared.loop.post(lambda: reply(answer))
            else:
                self._shared.loop.post(partial(self._open, request, peer, made, reply))

    def _prepared(self, request: Attach | Create, peer: Peer) -> Made:
        allowed = partial(self._check, peer, request.do, request.policy)
        if isinstance(request, Attach):
            return maker.attach(request, allowed, self._claims, self._trusted)
        allowed(peer.uid)
        return maker.create(request, peer.uid, self._claims)

    def _open(self, request: Attach | Create, peer: Peer, made: Made, reply: Reply) -> None:
        """On the loop's thread: serve what was made, or leave it without a way out."""
        identity = Identity(made.name, request.policy, peer.uid, self._claims.number())

        def refuse(verdict: Verdict) -> None:
            self._forgo(identity, made)
            reply({"error": sentence(verdict)})

        with fail_closed(self._shared.own, "node.open", refuse, actor=peer.actor):
            judge.probe("node.open")
            if self._closed:
                self._forgo(identity, made)
                reply({"error": "the node ends"})
                return
            answer = self._served(identity, made).status()
            answer |= {"trust": made.trust, "environment": dict(environment())}
            if isinstance(request, Create):
                answer["path"] = f"/proc/{os.getpid()}/fd/{made.place.network}"
            reply(answer)

    def _served(self, identity: Identity, made: Made) -> Sandbox:
        policy = self._policies[identity.policy]
        end = partial(self._end_named, identity.name)
        sandbox = Sandbox(self._shared, identity, policy, made.place, made.sockets, end)
        self._sandboxes[identity.name] = sandbox
        if made.place.process >= 0:
            self._shared.loop.watch(made.place.process, READ, partial(self._exited, sandbox))
        return sandbox

    def _forgo(self, identity: Identity, made: Made) -> None:
        """Leave what was made, whose name nobody else has, served or not."""
        if identity.name in self._sandboxes:
            self._end_named(identity.name)
            return
        self._claims.free(made.name, made.place.inode)
        self._claims.give_back(identity.number)
        made.discard()

    # Ending

    def _end_named(self, name: str) -> None:
        if (sandbox := self._sandboxes.get(name)) is not None:
            self._end(sandbox)

    def _end(self, sandbox: Sandbox, ended: Callable[[], None] = lambda: None) -> None:
        identity = sandbox.identity
        if self._sandboxes.get(identity.name) is not sandbox:
            return
        del self._sandboxes[identity.name]
        self._shared.loop.forget(sandbox.place.process)

        def gone() -> None:
            self._claims.give_back(identity.number)
            ended()

        sandbox.close(gone)
        self._claims.free(identity.name, sandbox.namespace)

    def _exited(self, sandbox: Sandbox, events: int) -> None:
        """The process that was named has ended; others may live on in its network."""
        self._shared.loop.forget(sandbox.place.process)
        self._helpers.submit(self._look_after, sandbox)

    def _look_after(self, sandbox: Sandbox) -> None:
        """On a helper thread: whether anybody is left."""
        if next(inhabitants(sandbox.namespace), None) is None:
            self._shared.loop.post(partial(self._end, sandbox))
        else:
            self._shared.loop.post(partial(self._look_later, sandbox))

    def _look_later(self, sandbox: Sandbox) -> None:
        self._shared.loop.after(LOOK_SECONDS, partial(self._again, sandbox))

    def _again(self, sandbox: Sandbox) -> None:
        if self._sandboxes.get(sandbox.identity.name) is sandbox:
            self._helpers.submit(self._look_after, sandbox)
