"""Far ends that speak HTTP: JSON lines by POST, and OTLP logs.

OTLP: opentelemetry-proto, opentelemetry/proto/collector/logs/v1/logs_service.proto in its JSON
encoding (ProtoJSON: 64-bit integers are strings), and the OTLP specification on responses, partial
success and Retry-After.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from firewall import __version__
from firewall.audit.ship.settings import Settings
from firewall.audit.ship.sink import NotTakenError
from firewall.audit.ship.tail import Item

HTTP_SECONDS = 10.0
ANSWER_BYTES = 1 << 16

_SEVERITIES = {"info": 9, "warning": 13, "critical": 17}
"""SeverityNumber: INFO, WARN, ERROR (logs.proto)."""


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST becomes a GET without its body, which would look like success."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Poster:
    """POSTs bodies to one URL."""

    def __init__(self, url: str, kind: str, settings: Settings) -> None:
        self._url = url
        self._place = urlsplit(url).hostname or url
        self._headers = {"Content-Type": kind, **_environment_headers()}
        self._opener = build_opener(_NoRedirects, HTTPSHandler(context=settings.tls()))

    def post(self, body: bytes) -> bytes:
        """The answer's body. Raises NotTakenError for any answer but 2xx."""
        request = Request(self._url, body, self._headers, method="POST")  # noqa: S310 - http(s) by open_sink
        try:
            with self._opener.open(request, timeout=HTTP_SECONDS) as answer:
                text: bytes = answer.read(ANSWER_BYTES)
                return text
        except HTTPError as error:
            told = error.headers.get("Retry-After") if error.code in (429, 503) else None
            why = f"{self._place} answered {error.code} {error.reason}"
            error.close()
            raise NotTakenError(why, _seconds(told)) from None
        except (OSError, HTTPException) as error:
            raise NotTakenError(f"{self._place}: {error}") from None


class JsonLines:
    """A server that takes lines of JSON by POST; a 2xx answer acknowledges all of a batch."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._settings = settings
        self._poster = Poster(url, "application/x-ndjson", settings)

    def send(self, items: Sequence[Item]) -> int:
        self._poster.post("".join(f"{self._settings.encode(item)}\n" for item in items).encode())
        return 0

    def close(self) -> None:
        """No connection is held."""


class Otlp:
    """A collector of OpenTelemetry logs. Without a path in the URL, /v1/logs is meant."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._settings = settings
        whole = url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1/logs"
        self._poster = Poster(whole, "application/json", settings)

    def send(self, items: Sequence[Item]) -> int:
        return _rejected(self._poster.post(json.dumps(self._request(items)).encode()))

    def close(self) -> None:
        """No connection is held."""

    def _request(self, items: Sequence[Item]) -> dict[str, Any]:
        """An ExportLogsServiceRequest."""
        resource = {"service.name": "agent-firewall", "service.instance.id": self._settings.source}
        scope = {"name": "firewall.audit", "version": __version__}
        records = [self._record(item) for item in items]
        scopes = [{"scope": scope, "logRecords": records}]
        return {
            "resourceLogs": [
                {"resource": {"attributes": _attributes(resource)}, "scopeLogs": scopes}
            ]
        }

    def _record(self, item: Item) -> dict[str, Any]:
        members = item.members()
        severity = str((members.get("verdict") or {}).get("severity", "info"))
        attributes: dict[str, str | int] = {
            "event.name": str(members.get("kind", "")),
            "firewall.chain": item.chain,
            "firewall.seq": item.seq,
            "firewall.hash": item.hash,
        }
        return {
            "timeUnixNano": str(_nanoseconds(str(members.get("time", "")))),
            "observedTimeUnixNano": str(time.time_ns()),
            "severityNumber": _SEVERITIES.get(severity, 9),
            "severityText": severity,
            "body": {"stringValue": self._settings.encode(item)},
            "attributes": _attributes(attributes),
        }


def _environment_headers() -> dict[str, str]:
    """Headers for HTTP from OTEL_EXPORTER_OTLP_HEADERS, `name=value,...` percent-encoded.

    OpenTelemetry's protocol exporter specification; so no secret stands in a command line.
    """
    given = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = (each.partition("=") for each in given.split(",") if "=" in each)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]


def _rejected(answer: bytes) -> int:
    """How many records a partial success leaves out; they must not be sent again (OTLP)."""
    try:
        partial = json.loads(answer)["partialSuccess"]
        return int(partial.get("rejectedLogRecords", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0


def _nanoseconds(moment: str) -> int:
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return 0
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1000


def _seconds(told: str | None) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None
