"""WebSockets inside TLS: messages pass both ways, and one that mines ends the connection."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.clients import SYSTEM_PYTHON, Steps, has_python, opened, take_steps
from tests.e2e.servers import Certificates
from tests.e2e.upstreams import websocket_server

pytestmark = pytest.mark.skipif(not has_python(), reason=f"not installed: {SYSTEM_PYTHON}")

POLICY = """
version: 1
name: test
network:
  names: {raw.test: 127.0.0.1}
  rules:
    - {name: chat, allow: https, hosts: [raw.test], ports: [{port}], addresses: [127.0.0.1/32],
       requests: [{method: GET, path: /chat}]}
"""
# RFC 6455: the handshake of 1.3, then one masked text frame (5.2) whose mask is zero.
CLIENT = """
import socket, ssl, sys
path, text = sys.argv[1], sys.argv[2].encode()
context = ssl.create_default_context()
context.set_alpn_protocols(["http/1.1"])
client = context.wrap_socket(
    socket.create_connection(("raw.test", PORT), 20), server_hostname="raw.test"
)
client.sendall(
    f"GET {path} HTTP/1.1\\r\\nHost: raw.test:PORT\\r\\nUpgrade: websocket\\r\\n"
    "Connection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n"
    "Sec-WebSocket-Version: 13\\r\\n\\r\\n".encode()
)
answers = client.makefile("rb")
print(answers.readline().decode().strip())
while answers.readline().strip():
    pass
client.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
try:
    kind, size = answers.read(2)
    print(kind & 15, answers.read(size)[2 if kind & 15 == 8 else 0:].decode())
except (OSError, ValueError) as error:
    print(type(error).__name__)
"""
MINING = '{"id":1,"method":"mining.subscribe","params":["x/1.0"]}'


@dataclass(frozen=True)
class Ran:
    steps: Steps
    received: list[bytes]


@pytest.fixture(scope="module")
def ran(certificates: Certificates) -> Iterator[Ran]:
    server = websocket_server(certificates)
    with opened(certificates) as workplace:
        client = workplace.work / "client.py"
        client.write_text(CLIENT.replace("PORT", str(server.port)))
        run = f"{SYSTEM_PYTHON} client.py"
        scripts = {
            "talk": f"{run} /chat 'hello both ways'",
            "mine": f"{run} /chat '{MINING}'",
            "denied": f"{run} /other 'hello'",
        }
        policy = workplace.policy(POLICY, port=server.port)
        yield Ran(take_steps(workplace, policy, scripts), server.received)
    server.close()


def test_messages_pass_both_ways(ran: Ran) -> None:
    step = ran.steps["talk"]
    assert step.out.splitlines() == ["HTTP/1.1 101 Switching Protocols", "1 hello both ways"]
    (request,) = step.allowed("HttpRequest")
    assert request["request"]["upgrade"] == "websocket"


def test_a_message_that_mines_is_stopped_and_told_why(ran: Ran) -> None:
    step = ran.steps["mine"]
    switched, ended = step.out.splitlines()
    assert switched == "HTTP/1.1 101 Switching Protocols"
    assert ended.startswith("8 Blocked by the firewall")
    record = step.block("guards.mining", "python3")
    assert record["request"]["type"] == "Message"
    assert record["request"]["carrier"] == "websocket"
    assert record["verdict"]["severity"] == "critical"


def test_the_handshake_is_a_request_like_any_other(ran: Ran) -> None:
    assert ran.steps["denied"].out.startswith("HTTP/1.1 403 ")
    assert ran.steps["denied"].block("default", "python3")["request"]["path"] == "/other"


def test_only_the_allowed_message_arrived(ran: Ran) -> None:
    assert ran.received == [b"hello both ways"]
