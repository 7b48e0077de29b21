"""What an idle inspected connection holds, in the gate's lane and in the depth process.

    uv run python -m tests.bench.idle [CONNECTIONS]

Each connection has made one request and rests, as those of model APIs' clients do. The kernel's
buffers are not counted.
"""

import contextlib
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

import trustme

from tests.bench.peers import HOST, Peer, Place, peers
from tests.bench.proxies import resident, started
from tests.e2e.servers import Certificates, Nginx

OURS = ("fast", "depth")
WARM = 20
"""Connections before the first look, so that what is loaded once is not counted."""
SETTLE_S = 2.0


def connect(peer: Peer, port: int) -> ssl.SSLSocket:
    """A connection that has made one request."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=60)
    plain.sendall(f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    plain.recv(4096)
    secure = context.wrap_socket(plain, server_hostname=HOST)
    secure.sendall(f"GET /hello HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
    if b" 200 " not in secure.recv(4096):
        raise ConnectionError(f"{peer.name} did not serve the request")
    return secure


def held(peer: Peer, process: int, port: int, count: int) -> float:
    """Kilobytes for each of `count` idle connections."""
    for each in [connect(peer, port) for _ in range(WARM)]:
        each.close()
    time.sleep(SETTLE_S)
    before = resident(process)
    flows = [connect(peer, port) for _ in range(count)]
    time.sleep(SETTLE_S)
    after = resident(process)
    for each in flows:
        each.close()
    return (after - before) * 1000 / count


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        folder.chmod(0o755)
        certificates = Certificates(folder)
        origin = Nginx(folder, certificates)
        running.callback(origin.close)
        place = Place(folder, origin.https, certificates.authority, trustme.CA())
        known = [each for each in peers(place) if each.name in OURS]
        processes = [running.enter_context(started(each)) for each in known]
        place.write_bundle(known)
        for peer, process in zip(known, processes, strict=True):
            assert process is not None
            size = held(peer, process, origin.https, count)
            print(f"{peer.name}: {size:.0f} KB for each of {count} idle connections")


if __name__ == "__main__":
    main()
