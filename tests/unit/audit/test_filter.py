"""Terms mean what they say, in the index as in the records, and say what is wrong with them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from firewall.audit.filter import parse

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RECORD: dict[str, Any] = {
    "seq": 17,
    "time": "2026-01-31T11:00:00.000000Z",
    "kind": "verdict",
    "request": {
        "type": "Connect",
        "host": "pool.test",
        "port": 3333,
        "findings": [{"kind": "mining"}, {"kind": "tls"}],
    },
    "verdict": {"action": "deny", "rule": "guards.mining", "severity": "critical"},
    "actor": {"process": {"exe": "/usr/bin/python3", "pid": 7}},
    "flow": {"bytes": 2_500_000},
}


@pytest.mark.parametrize(
    ("term", "holds"),
    [
        ("verdict=deny", True),
        ("verdict=allow", False),
        ("rule=guards.mining", True),
        ("rule=guards.*", True),
        ("rule!=guards.*", False),
        ("rule!=default", True),
        ("program=*python*", True),
        ("actor.program=*python?", True),
        ("actor.process.exe=*PYTHON*", False),
        ("port=3333", True),
        ("port>=1024", True),
        ("port<1024", False),
        ("pid!=7", False),
        ("flow.bytes>2MB", True),
        ("flow.bytes>2.5MB", False),
        ("since=2h", True),
        ("since=30m", False),
        ("until=30m", True),
        ("time<2026-01-31T11:30:00Z", True),
        ("since=2026-01-31T12:30:00+01:00", False),
        ("severity>=warning", True),
        ("severity<critical", False),
        ("severity=critical", True),
        ("request.findings.kind=mining", True),
        ("request.findings.kind!=mining", False),
        ("request.findings.kind!=ssh", True),
        ("tool=*", False),
        ("tool!=x", False),
        ("method=GET", False),
        ("host=pool.[t]est", False),
    ],
)
def test_terms(term: str, holds: bool) -> None:
    (condition,) = parse([term], NOW)
    assert condition.holds(RECORD) is holds


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ("deny", "'deny' is no term; write for example verdict=deny"),
        ("verdict=", "'verdict=' has no value"),
        ("verdit=deny", "no field is called verdit; did you mean verdict?"),
        ("zzz=1", "there are: chain, seq, time"),
        ("nobody.exe=x", "or a path below request.*"),
        ("verdict=maybe", "a verdict is allow or deny"),
        ("severity=high", "one of info, warning, critical"),
        ("port=https", "request.port is a number"),
        ("rule>x", "verdict.rule is text"),
        ("since=yesterday", "yesterday is no time; write how long ago"),
        ("since>2h", "write since=2h, or time>2h"),
        ("since=99999999999d", "too long ago"),
    ],
)
def test_what_is_wrong_is_told(term: str, told: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse([term], NOW)
    assert told in str(refusal.value)
