"""The logs of many firewalls, taken from one stream, verified and written down in one place.

`into/<source>/` is an audit log like the one that was shipped: byte for byte the same records and
checkpoints, for `firewall audit verify` and `query`. What does not fit is kept in `refused/` there.
"""

from firewall.audit.ingest.receiver import Receiver, Tally
from firewall.audit.ingest.source import Alarm, Source

ALARMS = "ingest.alarms"
"""Where a receiver keeps its own log beside those of its sources, none of which has such a name."""

__all__ = ["ALARMS", "Alarm", "Receiver", "Source", "Tally"]
