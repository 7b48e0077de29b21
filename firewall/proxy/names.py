"""Synthetic addresses: what the sandbox gets instead of real ones.

A name gets one address of 198.18.0.0/15 (RFC 2544, never routed) and one of a private IPv6 prefix,
both stable while the name is in use. So a connection says which name it is for, whatever protocol
it speaks, and a name that is never allowed is never asked of the outside.
"""

import ipaddress
from collections import OrderedDict

NET4 = ipaddress.IPv4Network("198.18.0.0/15")
NET6 = ipaddress.IPv6Network("fd00:c612::/96")
FIRST = 256
"""The lowest number handed out: it leaves 198.18.0.0/24 free for the firewall's own addresses."""

CAPACITY = NET4.num_addresses - FIRST


class Names:
    """A two-way table of names and numbers; when it is full the name unused for longest goes."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._names: dict[int, str] = {}

    def addresses(self, name: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
        """The two synthetic addresses of a name, given now if it had none."""
        number = self._numbers.get(name)
        if number is None:
            number = self._allot(name)
        self._numbers.move_to_end(name)
        return NET4[number], NET6[number]

    def name(self, address: str) -> str | None:
        """The name behind an address as text, or None where it is not one of ours."""
        number = _number(address)
        name = None if number is None else self._names.get(number)
        if name is not None:
            self._numbers.move_to_end(name)
        return name

    def _allot(self, name: str) -> int:
        if len(self._numbers) >= self._capacity:
            _, number = self._numbers.popitem(last=False)
        else:
            number = FIRST + len(self._numbers)
        self._numbers[name] = number
        self._names[number] = name
        return number


def _number(address: str) -> int | None:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return int(ip) - int(NET4.network_address) if ip in NET4 else None
    return int(ip) - int(NET6.network_address) if ip in NET6 else None
