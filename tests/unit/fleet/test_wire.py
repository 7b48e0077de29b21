"""What comes out of JetStream, whoever put it in; over a network in tests/e2e/test_fleet.py."""

import asyncio
from typing import Any

import pytest
import zstandard
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as Unanswered
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError, ServerError

from firewall.audit.ship import NotTakenError
from firewall.fleet import wire
from firewall.fleet.wire import UnreadableError, offered, policy_subject, report_subject


class Stream:
    """Stands in for JetStream: one message, or what is raised instead."""

    def __init__(self, found: RawStreamMsg | Exception) -> None:
        self._found = found

    async def get_msg(self, name: str, subject: str, direct: bool) -> RawStreamMsg:
        assert (name, subject, direct) == ("FIREWALL_POLICY", "firewall.policy.training", True)
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def look(found: RawStreamMsg | Exception) -> bytes | None:
    stream: Any = Stream(found)
    return asyncio.run(offered(stream, "training"))


def test_what_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstandard.compress(b"bundle" * 100)
    headers = {"Content-Encoding": "zstd"}
    assert look(RawStreamMsg(data=b"bundle")) == b"bundle"
    assert look(RawStreamMsg(data=None)) == b""
    assert look(RawStreamMsg(data=packed, headers=headers)) == b"bundle" * 100
    assert look(RawStreamMsg(data=b"bundle", headers=headers)) == b""
    assert look(NotFoundError()) is None
    monkeypatch.setattr(wire, "SIZE_LIMIT", 5)
    assert look(RawStreamMsg(data=packed, headers=headers)) == b"bundle", "no more is unpacked"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NoRespondersError(), "NoRespondersError"),
        (ServerError(), "ServerError"),
        (ValueError("Invalid isoformat string: 'x'"), "isoformat"),
        (KeyError("Nats-Subject"), "Nats-Subject"),
        (AttributeError("'NoneType' object has no attribute 'get'"), "NoneType"),
    ],
)
def test_what_cannot_be_read(error: Exception, why: str) -> None:
    with pytest.raises(UnreadableError, match=f"its headers are those of no message: .*{why}"):
        look(error)


def test_nobody_answers() -> None:
    with pytest.raises(NotTakenError, match="is there a stream FIREWALL_POLICY with direct gets"):
        look(Unanswered())


def test_subjects() -> None:
    assert report_subject("training", "gpu-17") == "firewall.fleet.training.gpu-17"
    for name in ("a.b", "", ">", "*", "a b", "é"):
        with pytest.raises(ValueError, match="letters, digits"):
            policy_subject(name)
