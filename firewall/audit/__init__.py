"""What was asked and decided: no crash loses it, and no record changes without all that follow.

Every judging process writes its own chain of records (record.py) into segments of a folder of
its own: `directory/<chain>/<first seq, 20 digits>.log`. Nothing is acknowledged before it is on
the disk. One process signs where all chains end, again and again (checkpoint.py): so all of them
are one log, of which nothing that was signed can be changed or cut unseen.
"""

from firewall.audit.archive import Keep
from firewall.audit.describe import describe
from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.keeper import Keeper
from firewall.audit.log import AuditLog
from firewall.audit.read import Follower, find, heads, last, read
from firewall.audit.verify import Report, verify
from firewall.audit.verify_checkpoints import Seen, read_seen
from firewall.audit.witness import Place, place
from firewall.notes import Key

__all__ = [
    "AuditBusy",
    "AuditError",
    "AuditLog",
    "Follower",
    "Keep",
    "Keeper",
    "Key",
    "Place",
    "Report",
    "Seen",
    "describe",
    "find",
    "heads",
    "last",
    "place",
    "read",
    "read_seen",
    "verify",
]
