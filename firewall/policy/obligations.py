"""What whoever carries out an allow must do: taken from all the rules that allow it."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

from firewall.policy.rules import Rule
from firewall.verdict import Limit, Obligations

type _Ssh = Literal["none", "gateway", "relay"]


def obligations(allows: Sequence[Rule], whole: tuple[Limit, ...] = ()) -> Obligations:
    """The obligations of an allow by these rules; `whole` are the limits of all of the network.

    What one rule limits, another that allows it too does not free: order never matters.
    """
    opaque = all(rule.opaque for rule in allows)
    calls = any(rule.document.tool_calls for rule in allows)
    carriers = tuple(rule.name for rule in allows if rule.document.inject)
    limits = (*(each for rule in allows for each in rule.document.limits), *whole)
    return _obligations(opaque, _ssh(allows), calls, carriers, limits)


@cache
def _obligations(
    opaque: bool, ssh: _Ssh, calls: bool, carriers: tuple[str, ...], limits: tuple[Limit, ...]
) -> Obligations:
    """Made once each, because one is part of every allow."""
    return Obligations("passthrough" if opaque else "inspect", ssh, calls, carriers, limits)


def _ssh(allows: Sequence[Rule]) -> _Ssh:
    """Trust beats the gateway; a rule for any bytes beats it for a client that keeps silent."""
    if any(rule.document.trusted for rule in allows):
        return "relay"
    return "gateway" if all(rule.gateway for rule in allows) else "none"
