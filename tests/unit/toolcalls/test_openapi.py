"""The OpenAPI document: valid, and true of what the service answers."""

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from firewall.toolcalls.dialects import DIALECTS
from firewall.toolcalls.openapi import DOCUMENT
from firewall.toolcalls.service import NAMES, Answer
from firewall.verdict import Verdict
from tests.unit.toolcalls.dialects.events import EVENTS
from tests.unit.toolcalls.serving import ACTOR, ALLOW, ASK, DENY, Court

SCHEMAS = DOCUMENT["components"]["schemas"]


def valid(document: Any, name: str) -> None:
    jsonschema.validate(document, SCHEMAS[name], jsonschema.Draft202012Validator)


def answered(path: str, answer: Answer, method: str = "post") -> Any:
    """What the document says of this answer's body, which must be said."""
    said = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]["content"]
    return said[answer.content_type.partition(";")[0]]["schema"]


def test_it_is_a_valid_document_and_is_served() -> None:
    validate(DOCUMENT)
    answer = Court(ALLOW).service.answer("GET", "/v1/openapi.json", b"", ACTOR)
    assert json.loads(answer.body) == DOCUMENT
    assert answered("/v1/openapi.json", answer, "get") == {"type": "object"}


def test_it_names_what_a_call_may_hold_and_the_agents() -> None:
    assert set(SCHEMAS["ToolCall"]["properties"]) == NAMES
    (agent,) = DOCUMENT["paths"]["/v1/hooks/{agent}"]["post"]["parameters"]
    assert agent["schema"] == {"enum": list(DIALECTS)}


@pytest.mark.parametrize("verdict", [ALLOW, DENY, ASK])
def test_answers_are_as_it_says(verdict: Verdict) -> None:
    call: dict[str, Any] = {"tool": "Bash", "arguments": {}, "id": None}
    valid(call, "ToolCall")
    body = json.dumps(call).encode()
    answer = Court(verdict).service.answer("POST", "/v1/tool-calls", body, ACTOR)
    assert answered("/v1/tool-calls", answer) == {"$ref": "#/components/schemas/Answer"}
    valid(json.loads(answer.body), "Answer")


@pytest.mark.parametrize(
    "call", [[], {}, {"tool": ""}, {"tool": "a", "x": 1}, {"tool": "a", "id": 3}]
)
def test_what_it_forbids_is_refused_as_it_says(call: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid(call, "ToolCall")
    body = json.dumps(call).encode()
    answer = Court(ALLOW).service.answer("POST", "/v1/tool-calls", body, ACTOR)
    assert answered("/v1/tool-calls", answer) == {"$ref": "#/components/schemas/Error"}
    valid(json.loads(answer.body), "Error")


@pytest.mark.parametrize("agent", DIALECTS)
def test_hooks_are_answered_as_it_says(agent: str) -> None:
    body = json.dumps(EVENTS[agent]).encode()
    answer = Court(DENY).service.answer("POST", f"/v1/hooks/{agent}", body, ACTOR)
    assert answered("/v1/hooks/{agent}", answer) == {"type": "string"}
    assert int(answer.headers["X-Hook-Exit"]) in (0, 2)
