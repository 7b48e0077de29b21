"""What was asked and decided: no crash loses it, and no record changes without all that follow.

Every judging process writes its own chain of records (record.py) into segments of a folder of
its own: `directory/<chain>/<first seq, 20 digits>.log`. Nothing is acknowledged before it is on
the disk.
"""

from firewall.audit.describe import describe
from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.log import AuditLog
from firewall.audit.read import find, heads, last, read
from firewall.audit.verify import Report, verify

__all__ = [
    "AuditBusy",
    "AuditError",
    "AuditLog",
    "Report",
    "describe",
    "find",
    "heads",
    "last",
    "read",
    "verify",
]
