"""Synthetic addresses: what the sandbox gets instead of real ones.

A name gets one address of 198.18.0.0/15 (RFC 2544, never routed) and one of a private IPv6 prefix,
both stable while the name is in use. So a connection says which name it is for, whatever protocol
it speaks, and a name that is never allowed is never asked of the outside.
"""

import ipaddress
from collections import OrderedDict

from firewall.proxy.nametable import NameTable

NET4 = ipaddress.IPv4Network("198.18.0.0/15")
NET6 = ipaddress.IPv6Network("fd00:c612::/96")
FIRST = 256
"""The lowest number handed out: it leaves 198.18.0.0/24 free for the firewall's own addresses."""

CAPACITY = NET4.num_addresses - FIRST


class Names:
    """A two-way table of names and numbers; when it is full the name unused for longest goes.

    With a `table` it is shared with workers, and what they have used counts as used.
    """

    def __init__(self, capacity: int = CAPACITY, table: NameTable | None = None) -> None:
        self._capacity = capacity
        self._table = table
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
            number = self._freed()
        else:
            number = FIRST + len(self._numbers)
        self._numbers[name] = number
        self._names[number] = name
        if self._table is not None:
            self._table.put(number, name)
        return number

    def _freed(self) -> int:
        """The number of the name unused for longest: one that a worker has used meanwhile has a
        second chance, once."""
        for _ in range(self._capacity):
            name, number = next(iter(self._numbers.items()))
            if self._table is None or not self._table.used(number):
                break
            self._numbers.move_to_end(name)
        return self._numbers.popitem(last=False)[1]


class SharedNames:
    """A worker's view of the names that the gate has given addresses to."""

    def __init__(self, table: NameTable) -> None:
        self._table = table

    def name(self, address: str) -> str | None:
        """The name behind an address as text, or None where it is not one of ours."""
        number = _number(address)
        return None if number is None else self._table.get(number)

    def close(self) -> None:
        """Look no more."""
        self._table.close()


def _number(address: str) -> int | None:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return int(ip) - int(NET4.network_address) if ip in NET4 else None
    return int(ip) - int(NET6.network_address) if ip in NET6 else None
