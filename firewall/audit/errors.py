"""What can go wrong with the log, told to the person who has to mend it."""


class AuditError(Exception):
    """The log cannot be opened, written or trusted; the text says where, why and what to do."""


class AuditBusy(AuditError):  # noqa: N818 - a state of the chain; another chain can be taken
    """Another process writes this chain."""
