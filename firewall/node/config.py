"""What a node is told in its file: where it listens, its policies, and who may do what.

    version: 1
    socket: /run/firewall/node.sock
    policies: {coding: /etc/firewall/coding.yaml, training: rl-training}
    workers: 4
    grants:
      - {users: [ci], groups: [docker], do: [attach, release, status], policies: [coding], of: own}

With several `workers`, so many processes serve the sandboxes. Root may do everything. `of: own` is
about processes of the caller's own user, and about sandboxes that this user has made; `of: anyone`
about all.
"""

import grp
import pwd
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from firewall.actor import Actor
from firewall.frozen import frozen
from firewall.node.client import SOCKET
from firewall.policy.document import validate
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.strict import Strict
from firewall.policy.text import read

NOBODY = -1
"""Whom this machine does not know; no process has this number."""

type Deed = Literal["create", "attach", "release", "status", "quarantine", "reopen"]


class Grant(Strict):
    """Some users and groups, and what they may do. No policies named means any of them."""

    users: list[str] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list)
    do: list[Deed]
    policies: list[str] = Field(default_factory=list)
    of: Literal["own", "anyone"] = "own"


class NodeConfig(Strict):
    """The whole file."""

    version: Literal[1]
    socket: str = SOCKET
    policies: dict[str, str] = Field(min_length=1)
    workers: int = Field(default=1, ge=1, le=64)
    grants: list[Grant] = Field(default_factory=list)


@frozen
class Peer:
    """Who asks, as the kernel tells it (SO_PEERCRED and SO_PEERGROUPS, unix(7))."""

    pid: int
    uid: int
    gids: frozenset[int]

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}"

    @property
    def actor(self) -> Actor:
        """As records have it: who asks a node is in no sandbox."""
        return Actor("node", unknown=f"asked by {self}")


def load_config(path: Path) -> NodeConfig:
    """Read a node's file. Raises PolicyError with the line of every fault."""
    node = read(path, str(path))
    config = validate(NodeConfig, node, str(path))
    problems = [
        Problem(str(path), node.line_of(("grants", position)), fault.what, fault.write)
        for position, grant in enumerate(config.grants)
        for fault in _faults(grant, config)
    ]
    if not config.socket.startswith("/"):
        what = f"the socket {config.socket!r} is no whole path"
        problems.append(Problem(str(path), node.line_of(("socket",)), what, SOCKET))
    if problems:
        raise PolicyError(problems)
    return config


def _faults(grant: Grant, config: NodeConfig) -> Iterator[Fault]:
    """A grant that gives nobody anything is a mistake, and so is one of a policy that is not."""
    if not grant.users and not grant.groups:
        yield Fault("the grant names nobody", "users: [...] or groups: [...]")
    for kind, names, number in (("user", grant.users, _uid), ("group", grant.groups, _gid)):
        for name in names:
            if number(name) == NOBODY:
                yield Fault(f"this machine knows no {kind} {name!r}", "a known name, or a number")
    for name in grant.policies:
        if name not in config.policies:
            yield Fault(f"there is no policy {name!r}", ", ".join(config.policies))


def may(config: NodeConfig, peer: Peer, deed: str, policy: str, owner: int) -> bool:
    """Whether a peer may do this to a sandbox of that policy, whose user is `owner`."""
    granting = _granting(config, peer, deed, policy)
    return peer.uid == 0 or any(each.of == "anyone" or owner == peer.uid for each in granting)


def may_to_any(config: NodeConfig, peer: Peer, deed: str, policy: str) -> bool:
    """Whether there is anything to which a peer may do this."""
    return peer.uid == 0 or next(_granting(config, peer, deed, policy), None) is not None


def _granting(config: NodeConfig, peer: Peer, deed: str, policy: str) -> Iterator[Grant]:
    for grant in config.grants:
        if (
            deed in grant.do
            and (not grant.policies or policy in grant.policies)
            and _names(grant, peer)
        ):
            yield grant


def _names(grant: Grant, peer: Peer) -> bool:
    users = {_uid(each) for each in grant.users}
    groups = {_gid(each) for each in grant.groups}
    return peer.uid in users or bool(peer.gids & groups)


# Asked once for each name, as the file is loaded: the answer may come from a server (nss(5)).


@cache
def _uid(name: str) -> int:
    """A user's number, or NOBODY."""
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return NOBODY


@cache
def _gid(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        return NOBODY
