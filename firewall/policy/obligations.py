"""What whoever carries out an allow must do: taken from all the rules that allow it."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

from firewall.policy.rules import Rule
from firewall.verdict import Obligations

type _Ssh = Literal["none", "gateway", "relay"]


def obligations(allows: Sequence[Rule]) -> Obligations:
    """The obligations of an allow by these rules."""
    opaque = all(rule.opaque for rule in allows)
    calls = any(rule.document.tool_calls for rule in allows)
    carriers = tuple(rule.name for rule in allows if rule.document.inject)
    return _obligations(opaque, _ssh(allows), calls, carriers)


@cache
def _obligations(opaque: bool, ssh: _Ssh, calls: bool, carriers: tuple[str, ...]) -> Obligations:
    """Made once each, because one is part of every allow."""
    return Obligations("passthrough" if opaque else "inspect", ssh, calls, carriers)


def _ssh(allows: Sequence[Rule]) -> _Ssh:
    """Trust beats the gateway; a rule for any bytes beats it for a client that keeps silent."""
    if any(rule.document.trusted for rule in allows):
        return "relay"
    return "gateway" if all(rule.gateway for rule in allows) else "none"
