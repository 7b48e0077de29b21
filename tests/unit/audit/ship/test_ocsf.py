"""Events hold against the published OCSF 1.8.0 schema, and say what the record said."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from firewall.audit.ship import Item, ocsf
from firewall.requests import (
    Connect,
    Execute,
    Finding,
    HttpRequest,
    Message,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Action, Severity, Verdict
from tests.unit.audit.ship.far import item, verdict_event

FOUND = (Finding("mining", "stratum-v1", "login", "bytes 0-77"),)
REQUESTS: list[tuple[Request, str, int]] = [
    (Connect("pool.test", 3333, address="192.0.2.1"), "network_activity", 4001),
    (Connect("2001:db8::1", 53, "udp"), "network_activity", 4001),
    (
        HttpRequest("POST", "https", "a.test", 443, "//x/y?q=1", "a.test"),
        "http_activity",
        4002,
    ),
    (HttpRequest("BREW", "http", "a.test", 80, "*", "a.test"), "http_activity", 4002),
    (Resolve("a.test", "TXT"), "dns_activity", 4003),
    (SshChannel("a.test", 22, "git", "exec", "git-upload-pack x"), "ssh_activity", 4007),
    (
        Execute("/usr/bin/nc", ("nc", "-e"), "/tmp", digest="ab" * 32),
        "process_activity",
        1007,
    ),
    (ToolCall("Bash", "{}", "toolu_1", agent="claude-code"), "api_activity", 6003),
    (ToolCall("", "{}"), "api_activity", 6003),
    (Message("a.test", 443, "websocket", "sent", FOUND), "detection_finding", 2004),
]


@cache
def published() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))


@cache
def validator(name: str) -> Draft202012Validator:
    schema = published().get_class_schema(name, profiles=["security_control", "host"])
    return Draft202012Validator(schema)


def checked(given: Item, name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(ocsf.event(given))
    problems = [error.message for error in validator(name).iter_errors(event)]
    assert not problems
    return event


VERDICTS = [
    (Verdict(Action.ALLOW, "web", "ok"), (1, 1)),
    (Verdict(Action.DENY, "default", "no", Severity.CRITICAL), (2, 2)),
    (Verdict(Action.ASK, "ask", "who knows", Severity.WARNING), (2, 14)),
    (Verdict(Action.DENY, "default", "no", enforced=False), (3, 17)),
]


@pytest.mark.parametrize(("request_", "name", "uid"), REQUESTS)
@pytest.mark.parametrize(("verdict", "decided"), VERDICTS)
def test_each_class(
    request_: Request, name: str, uid: int, verdict: Verdict, decided: tuple[int, int]
) -> None:
    given = item(verdict_event(request_, verdict), seq=7)
    event = checked(given, name)
    assert event["class_uid"] == uid
    assert event["type_uid"] == uid * 100 + event["activity_id"]
    assert (event["action_id"], event["disposition_id"]) == decided
    assert event["firewall_rule"]["name"] == verdict.rule
    assert event["is_alert"] is (verdict.severity == "critical")
    assert event["metadata"]["uid"] == "gate-0:7"
    assert event["raw_data"].encode() + b"\n" == given.line
    assert event["unmapped"]["hash"] == given.hash
    assert abs(event["time"] / 1000 - ocsf_time(given)) < 1


def ocsf_time(given: Item) -> float:
    from datetime import datetime

    return datetime.fromisoformat(given.members()["time"]).timestamp()


def test_who_asked_and_for_what() -> None:
    event = json.loads(ocsf.event(item(verdict_event(REQUESTS[0][0], VERDICTS[1][0]))))
    assert event["dst_endpoint"] == {"hostname": "pool.test", "port": 3333, "ip": "192.0.2.1"}
    assert event["activity_id"] == 5
    process = event["actor"]["process"]
    assert (process["pid"], process["cmd_line"]) == (41, "python3 a.py")
    assert [each["pid"] for each in process["ancestry"]] == [40]
    assert event["actor"]["session"]["uid"] == "toolu_1"


@pytest.mark.parametrize("event", [{"kind": "log.opened"}, {"kind": "flow.closed", "request": 3}])
def test_other_records_are_base_events(event: dict[str, Any]) -> None:
    found = checked(item(event), "base_event")
    assert (found["class_uid"], found["metadata"]["event_code"]) == (0, event["kind"])


def test_checkpoints_are_base_events() -> None:
    line = json.dumps({"statement": '{"time":"2026-01-01T00:00:00Z"}', "note": "n"}).encode()
    found = checked(Item("checkpoints", 3, "h", line + b"\n"), "base_event")
    assert found["metadata"]["uid"] == "checkpoints:3"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 1 << 40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([each[0] for each in REQUESTS]),
    changes=st.dictionaries(
        st.sampled_from(["host", "port", "path", "argv", "findings", "tool", "name"]), _JSON
    ),
    actor=_JSON,
)
def test_whatever_an_agent_asked_for_is_an_event(
    kind: Request, changes: dict[str, Any], actor: Any
) -> None:
    event = verdict_event(kind, VERDICTS[1][0])
    odd = {**event, "request": {**event["request"], **changes}, "actor": actor}
    json.loads(ocsf.event(item(odd)))
