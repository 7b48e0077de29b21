"""JSON lines and OTLP against a real HTTP server, whose bodies the OTLP protocol itself reads."""

import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from firewall.audit.ship import NotTakenError, Settings, open_sink
from firewall.audit.ship.http import _seconds
from tests.unit.audit.ship.far import item

SETTINGS = Settings("host1")


class Receiver(HTTPServer):
    """Answers each POST as `answers` say, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        status, headers, answer = (self.server.answers or [(200, {}, b"")]).pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestJsonLines:
    def test_records_as_they_were_written(self, receiver: Receiver) -> None:
        items = [item(seq=1), item(seq=2)]
        assert open_sink(f"{receiver.url}/in", SETTINGS).send(items) == 0
        ((path, headers, body),) = receiver.got
        assert (path, headers["Content-Type"]) == ("/in", "application/x-ndjson")
        assert body == items[0].line + items[1].line

    def test_records_as_events(self, receiver: Receiver) -> None:
        open_sink(receiver.url, Settings("h", ocsf=True)).send([item()])
        assert json.loads(receiver.got[0][2])["class_uid"] == 4001

    def test_headers_from_the_environment(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x, X-Team = red")
        open_sink(receiver.url, SETTINGS).send([item()])
        headers = {name.lower(): value for name, value in receiver.got[0][1].items()}
        assert (headers["authorization"], headers["x-team"]) == ("Bearer x", "red")

    @pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 500])
    def test_other_answers_are_no_acknowledgement(self, receiver: Receiver, status: int) -> None:
        receiver.answers = [(status, {"Location": receiver.url, "Retry-After": "9"}, b"")]
        with pytest.raises(NotTakenError, match=f"answered {status}") as caught:
            open_sink(receiver.url, SETTINGS).send([item()])
        assert caught.value.after is None
        assert len(receiver.got) == 1

    def test_nobody_there(self, receiver: Receiver) -> None:
        with pytest.raises(NotTakenError, match="refused"):
            open_sink("http://127.0.0.1:1", SETTINGS).send([item()])


class TestOtlp:
    def test_the_protocol_reads_it(self, receiver: Receiver) -> None:
        given = [item(seq=1), item(seq=2)]
        assert open_sink(f"otlp+{receiver.url}", SETTINGS).send(given) == 0
        ((path, headers, body),) = receiver.got
        assert (path, headers["Content-Type"]) == ("/v1/logs", "application/json")
        request = Parse(body, ExportLogsServiceRequest())
        (resource,) = request.resource_logs
        attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
        assert attributes == {
            "service.name": "agent-firewall",
            "service.instance.id": "host1",
        }
        ((scope),) = resource.scope_logs
        assert scope.scope.name == "firewall.audit"
        for record, sent in zip(scope.log_records, given, strict=True):
            values = {each.key: each.value for each in record.attributes}
            assert values["firewall.chain"].string_value == "gate-0"
            assert values["firewall.seq"].int_value == sent.seq
            assert values["firewall.hash"].string_value == sent.hash
            assert record.body.string_value.encode() + b"\n" == sent.line
            assert record.severity_number == 17
            assert abs(record.time_unix_nano / 1e9 - time.time()) < 60

    def test_a_path_of_its_own(self, receiver: Receiver) -> None:
        open_sink(f"otlp+{receiver.url}/otlp/v1/logs", SETTINGS).send([item()])
        assert receiver.got[0][0] == "/otlp/v1/logs"

    def test_partial_success_is_not_sent_again(self, receiver: Receiver) -> None:
        answer = {"partialSuccess": {"rejectedLogRecords": "3", "errorMessage": "too old"}}
        receiver.answers = [(200, {}, json.dumps(answer).encode())]
        assert open_sink(f"otlp+{receiver.url}", SETTINGS).send([item()]) == 3

    @pytest.mark.parametrize("answer", [b"", b"{}", b"\x00", b"[]", b'{"partialSuccess":null}'])
    def test_full_success(self, receiver: Receiver, answer: bytes) -> None:
        receiver.answers = [(200, {}, answer)]
        assert open_sink(f"otlp+{receiver.url}", SETTINGS).send([item()]) == 0

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after(self, receiver: Receiver, status: int) -> None:
        receiver.answers = [(status, {"Retry-After": "7"}, b"")]
        with pytest.raises(NotTakenError) as caught:
            open_sink(f"otlp+{receiver.url}", SETTINGS).send([item()])
        assert caught.value.after == 7.0


def test_retry_after_as_a_date() -> None:
    assert 50 < (_seconds(formatdate(time.time() + 60, usegmt=True)) or 0) <= 61
    assert _seconds(formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert _seconds("soon") is None
