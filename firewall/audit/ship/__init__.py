"""Copying a log to where it is kept and searched: to a SIEM, a collector, or a fleet's stream.

A process of its own reads what the log's writers have acknowledged and remembers how far it came
(cursor.py), so nothing here is on the road of a verdict. Delivery is at least once and in order for
each chain; (chain, seq) tells what came twice.
"""

from firewall.audit.ship.settings import Settings
from firewall.audit.ship.shipper import Outcome, Progress, Shipper
from firewall.audit.ship.sink import NotTakenError, Sink
from firewall.audit.ship.tail import Item
from firewall.audit.ship.targets import open_sink

__all__ = [
    "Item",
    "NotTakenError",
    "Outcome",
    "Progress",
    "Settings",
    "Shipper",
    "Sink",
    "open_sink",
]
