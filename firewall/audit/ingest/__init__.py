"""The logs of many firewalls, taken from one stream, verified and written down in one place.

`into/<source>/` is an audit log like the one that was shipped: byte for byte the same records and
checkpoints, for `firewall audit verify` and `query`. What does not fit is kept in `refused/` there.
"""

from firewall.audit.ingest.receiver import Receiver, Tally
from firewall.audit.ingest.source import Alarm, Source

__all__ = ["Alarm", "Receiver", "Source", "Tally"]
