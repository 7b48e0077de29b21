"""Records as OCSF 1.8.0 events (schema.ocsf.io/1.8.0), with profiles security_control and host.

What was asked chooses the class: Network Activity 4001, HTTP 4002, DNS 4003, SSH 4007, Process
1007, API 6003 for tool calls, Detection Finding 2004 for what was found inside an open flow, and
Base Event 0 for records of the log itself and for checkpoints. `metadata.uid` is CHAIN:SEQ,
`raw_data` the line as it was written, and `unmapped` has its hash.
"""

import ipaddress
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from firewall import __version__
from firewall.audit.ship.tail import Item

VERSION = "1.8.0"

type Members = Mapping[str, Any]
type Event = dict[str, Any]

_SEVERITIES = {"info": 1, "warning": 3, "critical": 5}
_METHODS = {"CONNECT": 1, "DELETE": 2, "GET": 3, "HEAD": 4, "OPTIONS": 5, "POST": 6, "PUT": 7,
            "TRACE": 8, "PATCH": 9}  # fmt: skip
_ALLOWED, _DENIED, _OBSERVED = 1, 2, 3
_BLOCKED, _HELD, _LOGGED = 2, 14, 17
_OPEN, _REFUSE, _OTHER = 1, 5, 99
_OUTBOUND = 2


def event(item: Item) -> str:
    """One event as a line of JSON, without a newline. Never raises for a record that holds."""
    record = item.members()
    request = _part(record, "request")
    make = _CLASSES.get(str(request.get("type")), _base)
    made = make(record, request)
    return json.dumps({**_common(item, record, made), **made}, separators=(",", ":"))


def _common(item: Item, record: Members, made: Event) -> Event:
    verdict = _part(record, "verdict")
    kind = made["class_uid"] * 100 + made["activity_id"]
    text = item.line.decode().rstrip("\n")
    return {
        "category_uid": made["class_uid"] // 1000,
        "type_uid": kind,
        "time": _milliseconds(record.get("time")),
        "severity_id": _SEVERITIES.get(str(verdict.get("severity", "info")), 0),
        "metadata": {
            "version": VERSION,
            "product": {"name": "agent-firewall", "version": __version__},
            "profiles": ["security_control", "host"],
            "uid": f"{item.chain}:{item.seq}",
            "sequence": item.seq,
            "log_name": item.chain,
            "event_code": str(record.get("kind", "")),
        },
        "raw_data": text,
        "unmapped": {"chain": item.chain, "seq": item.seq, "hash": item.hash},
        **_decision(verdict),
    }


def _decision(verdict: Members) -> Event:
    """The attributes of the profile security_control."""
    if not verdict:
        return {}
    action, disposition = _decided(verdict)
    return {
        "message": str(verdict.get("reason", "")),
        "action_id": action,
        "disposition_id": disposition,
        "is_alert": verdict.get("severity") == "critical",
        "firewall_rule": {
            "name": str(verdict.get("rule", "")),
            "desc": str(verdict.get("reason", "")),
            "match_location": str(verdict.get("source", "")),
        },
        "policy": {"uid": str(verdict.get("policy_digest", "")), "name": "agent-firewall"},
    }


def _decided(verdict: Members) -> tuple[int, int]:
    """action_id and disposition_id; a question to a person is no allow yet."""
    action = verdict.get("action")
    if action == "allow":
        return _ALLOWED, 1
    if not verdict.get("enforced", True):
        return _OBSERVED, _LOGGED
    return _DENIED, _HELD if action == "ask" else _BLOCKED


def _allowed(record: Members) -> bool:
    verdict = _part(record, "verdict")
    return verdict.get("action") == "allow" or not verdict.get("enforced", True)


def _network(record: Members, request: Members) -> Event:
    transport = str(request.get("transport", "tcp"))
    return {
        "class_uid": 4001,
        "activity_id": _OPEN if _allowed(record) else _REFUSE,
        "app_name": str(request.get("protocol", "")),
        "connection_info": {"direction_id": _OUTBOUND, "protocol_name": transport},
        **_ends(record, request),
    }


def _http(record: Members, request: Members) -> Event:
    method, path = str(request.get("method", "")).upper(), str(request.get("path", ""))
    scheme, host = str(request.get("scheme", "")), str(request.get("host", ""))
    parts = urlsplit(f"//-{path}" if path.startswith("/") else "")
    url = {
        "url_string": f"{scheme}://{host}:{request.get('port', 0)}{path}",
        "scheme": scheme,
        "hostname": host,
        "port": _int(request.get("port")),
        "path": parts.path,
        "query_string": parts.query,
    }
    return {
        "class_uid": 4002,
        "activity_id": _METHODS.get(method, _OTHER),
        "activity_name": method,
        "http_request": {
            **({"http_method": method} if method in _METHODS else {}),
            "version": str(request.get("version", "")),
            "url": url,
        },
        **_ends(record, request),
    }


def _dns(record: Members, request: Members) -> Event:
    query = {"hostname": str(request.get("name", "")), "type": str(request.get("kind", ""))}
    return {"class_uid": 4003, "activity_id": 1, "query": query, **_ends(record, {})}


def _ssh(record: Members, request: Members) -> Event:
    made = _ends(record, request)
    actor = {**made["actor"], "user": {"name": str(request.get("user", ""))}}
    activity = _OPEN if _allowed(record) else _REFUSE
    return {"class_uid": 4007, "activity_id": activity, **made, "actor": actor}


def _process(record: Members, request: Members) -> Event:
    path = str(request.get("path", ""))
    file = {"name": path.rpartition("/")[2] or path, "path": path, "type_id": 1}
    if digest := str(request.get("digest", "")):
        file["hashes"] = [{"algorithm_id": 3, "value": digest}]
    started = {
        "uid": f"{record.get('chain')}:{record.get('seq')}",
        "name": file["name"],
        "path": path,
        "cmd_line": _command_line(request),
        "working_directory": str(request.get("directory", "")),
        "file": file,
    }
    return {
        "class_uid": 1007,
        "activity_id": 1,
        "actor": _actor(record),
        "device": {"type_id": 0, "name": _sandbox(record)},
        "process": started,
    }


def _api(record: Members, request: Members) -> Event:
    """A tool call. OCSF knows only create, read, update and delete: so it is "other"."""
    api: Event = {
        "operation": str(request.get("tool", "")),
        "request": {"uid": str(request.get("call_id") or "")},
    }
    if server := str(request.get("server") or request.get("agent") or ""):
        api["service"] = {"name": server}
    return {
        "class_uid": 6003,
        "activity_id": _OTHER,
        "activity_name": "Call",
        "actor": _actor(record),
        "api": api,
        "src_endpoint": {"name": _sandbox(record)},
    }


def _finding(record: Members, request: Members) -> Event:
    findings = _parts(request, "findings")
    kinds = sorted({str(each.get("kind", "")) for each in findings})
    uid = f"{record.get('chain')}:{record.get('seq')}"
    return {
        "class_uid": 2004,
        "activity_id": 1,
        "finding_info": {
            "uid": uid,
            "title": f"{', '.join(kinds) or 'finding'} in {request.get('carrier', 'a flow')}",
            "types": kinds,
            "desc": "; ".join(str(each.get("evidence", "")) for each in findings),
        },
        "evidences": [{"dst_endpoint": _endpoint(request), "actor": _actor(record)}],
    }


def _base(record: Members, request: Members) -> Event:
    kind = str(record.get("kind", ""))
    return {"class_uid": 0, "activity_id": _OTHER, "activity_name": kind, "message": kind}


_CLASSES: Mapping[str, Callable[[Members, Members], Event]] = {
    "Connect": _network,
    "HttpRequest": _http,
    "Resolve": _dns,
    "SshChannel": _ssh,
    "Execute": _process,
    "ToolCall": _api,
    "Message": _finding,
}


def _ends(record: Members, request: Members) -> Event:
    ends: Event = {"src_endpoint": {"name": _sandbox(record)}, "actor": _actor(record)}
    return {**ends, "dst_endpoint": _endpoint(request)} if request.get("host") else ends


def _endpoint(request: Members) -> Event:
    host = str(request.get("host", ""))
    found: Event = {"hostname": host or "unknown"}
    if request.get("port"):
        found["port"] = _int(request.get("port"))
    for each in (request.get("address"), host):
        if each and _is_address(str(each)):
            return {**found, "ip": str(each)}
    return found


def _actor(record: Members) -> Event:
    """Who asked: the sandbox's session, the process and those that started it."""
    actor = _part(record, "actor")
    process = _part(actor, "process")
    known: Event = {"app_name": _sandbox(record)}
    if call := actor.get("tool_call"):
        known["session"] = {"uid": str(call)}
    if process:
        ancestors = _parts(actor, "ancestors")
        known["process"] = _running(process)
        if ancestors:
            known["process"]["ancestry"] = [_entity(each) for each in ancestors]
    return known


def _running(process: Members) -> Event:
    return {
        **_entity(process),
        "path": str(process.get("exe", "")),
        "user": {"uid": str(process.get("uid", ""))},
    }


def _entity(process: Members) -> Event:
    """A process_entity."""
    return {
        "pid": _int(process.get("pid")),
        "name": str(process.get("exe", "")).rpartition("/")[2],
        "cmd_line": _command_line(process),
    }


def _sandbox(record: Members) -> str:
    return str(_part(record, "actor").get("sandbox") or "unknown")


def _part(record: Members, name: str) -> Members:
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def _parts(record: Members, name: str) -> list[Members]:
    value = record.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _command_line(process: Members) -> str:
    value = process.get("argv")
    return " ".join(map(str, value)) if isinstance(value, list) else ""


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _milliseconds(moment: Any) -> int:
    """timestamp_t: milliseconds since the epoch."""
    try:
        return int(datetime.fromisoformat(str(moment)).timestamp() * 1000)
    except ValueError:
        return 0
