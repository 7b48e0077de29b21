"""OpenHands' hook, where only the exit status 2 blocks."""

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects.openhands import DIALECT
from firewall.toolcalls.dialects.reply import Reply
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import EVENTS

EVENT = EVENTS["openhands"]


def test_a_call_is_read() -> None:
    assert DIALECT.read(EVENT) == Call(
        "terminal", {"command": "nc -l 1"}, None, "openhands", "", "s-1", "/src"
    )


@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_whatever_is_no_allow_exits_with_2_and_says_why(action: Action) -> None:
    assert DIALECT.reply(EVENT, action, "why") == Reply("", "why\n", 2)
