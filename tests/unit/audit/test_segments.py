"""What a crash can leave behind, and what it cannot."""

import pytest

from firewall.audit.segments import PAGE, TORN_LIMIT, could_be_torn
from firewall.audit.status import torn as verifiers_torn


@pytest.mark.parametrize(
    ("rest", "offset", "torn"),
    [
        (b'{"seq":3', 0, True),
        (b'{"seq":3\0\0\0\0', 0, True),
        (b'{"se\0\0\0"}\n{"seq":4}\n', PAGE - 7, True),
        (b'{"se\0\0\0"}\n{"seq":4}\n', PAGE - 8, False),
        (b'{"seq":3}\n', 0, False),
        (b'{"seq":3}\n{"seq":\0\0', 0, False),
        (b"x" * TORN_LIMIT, 0, True),
        (b"x" * (TORN_LIMIT + 1), 0, False),
        (bytes(TORN_LIMIT + 1), 0, False),
    ],
    ids=range(9),
)
def test_could_be_torn(rest: bytes, offset: int, torn: bool) -> None:
    assert could_be_torn(rest, offset) is torn
    assert verifiers_torn(rest, offset) is torn
