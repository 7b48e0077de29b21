"""The OpenAPI 3.1 document of the tool-call service."""

from typing import Any

from firewall.toolcalls.dialects import DIALECTS

_TEXT = {"type": "string"}

_CALL: dict[str, Any] = {
    "type": "object",
    "required": ["tool"],
    "additionalProperties": False,
    "properties": {
        "tool": {**_TEXT, "minLength": 1, "description": "The tool's name, as the model gave it."},
        "arguments": {"type": "object", "description": "The arguments, as the model gave them."},
        "id": {"type": ["string", "null"], "description": "The call's id, which records carry."},
        "agent": {**_TEXT, "description": "Who reports the call: a framework, an agent."},
        "server": {**_TEXT, "description": "The MCP server that offers the tool."},
        "session": {**_TEXT, "description": "The conversation that the call belongs to."},
        "directory": {**_TEXT, "description": "The folder that a command would run in."},
    },
}

_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["action", "rule", "reason", "remedy", "text"],
    "properties": {
        "action": {"enum": ["allow", "deny", "ask"]},
        "rule": {**_TEXT, "description": "The rule of the policy that decided."},
        "reason": {**_TEXT, "description": "Why it applies."},
        "remedy": {**_TEXT, "description": "What to change if the call was right."},
        "text": {**_TEXT, "description": "What to tell the agent; empty for an allow."},
    },
}

_NAMES: dict[str, Any] = {"type": "array", "items": _TEXT}
_TOOLS: dict[str, Any] = {
    "type": "object",
    "required": ["server", "tools"],
    "properties": {"server": _TEXT, "tools": _NAMES},
}
_UNUSABLE: dict[str, Any] = {
    "type": "object",
    "required": ["unusable"],
    "properties": {"unusable": _NAMES},
}


def _body(schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_REFUSED = {
    "400": {"description": "The body cannot be read.", **_body(_named("Error"))},
    "413": {
        "description": "The body is too large.",
        **_body(_named("Error")),
    },
    "401": {"description": "The token is missing or wrong.", **_body(_named("Error"))},
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "agent-firewall tool calls",
        "version": "1",
        "description": "Ask the firewall's policy before a tool runs. Anything but `allow` means"
        " that the tool must not run; so does no answer.",
    },
    "security": [{}, {"token": []}],
    "paths": {
        "/v1/openapi.json": {
            "get": {
                "operationId": "describe",
                "summary": "This document.",
                "responses": {
                    "200": {"description": "OpenAPI 3.1.", **_body({"type": "object"})},
                    "401": _REFUSED["401"],
                },
            }
        },
        "/v1/tool-calls": {
            "post": {
                "operationId": "checkToolCall",
                "summary": "Judge one tool call.",
                "parameters": [
                    {
                        "name": "wait",
                        "in": "query",
                        "description": "1 holds a call that is left to a person until one answers.",
                        "schema": {"enum": ["0", "1"]},
                    }
                ],
                "requestBody": {"required": True, **_body(_named("ToolCall"))},
                "responses": {
                    "200": {"description": "What was decided.", **_body(_named("Answer"))},
                    **_REFUSED,
                },
            }
        },
        "/v1/tools": {
            "post": {
                "operationId": "listUnusableTools",
                "summary": "Say which tools of an MCP server are denied whatever their arguments.",
                "requestBody": {"required": True, **_body(_TOOLS)},
                "responses": {
                    "200": {"description": "Tools to leave out.", **_body(_UNUSABLE)},
                    **_REFUSED,
                },
            }
        },
        "/v1/hooks/{agent}": {
            "post": {
                "operationId": "answerHook",
                "summary": "Answer an agent's hook in its own words.",
                "parameters": [
                    {
                        "name": "agent",
                        "in": "path",
                        "required": True,
                        "schema": {"enum": list(DIALECTS)},
                    }
                ],
                "requestBody": {"required": True, **_body({"type": "object"})},
                "responses": {
                    "200": {
                        "description": "What the hook's process prints; where X-Hook-Exit is 2,"
                        " what it writes to its standard error.",
                        "headers": {"X-Hook-Exit": {"schema": {"type": "integer"}}},
                        **_body(_TEXT, "text/plain"),
                    },
                    **_REFUSED,
                },
            }
        },
    },
    "components": {
        "schemas": {
            "ToolCall": _CALL,
            "Answer": _ANSWER,
            "Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": _TEXT},
            },
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
