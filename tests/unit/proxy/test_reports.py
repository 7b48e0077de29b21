"""What is reported to the gate fits into its channel."""

import json

from firewall.proxy.handover import MESSAGE_LIMIT
from firewall.proxy.reports import shortened


def test_no_report_is_too_long_for_the_channel() -> None:
    huge = {
        "request": {"path": "/" + "\0" * 1_000_000, "findings": [{"evidence": "\0" * 5000}] * 64}
    }
    assert len(json.dumps(shortened(huge))) < MESSAGE_LIMIT
