"""Syslog messages (RFC 5424) over TLS with octet counting (RFC 5425).

Syslog has no acknowledgement. So each batch has a connection of its own, and the receiver's end of
it is one: a receiver that closes after our close_notify has read all before it (RFC 5425 section
4.4), while one that fails or closes with bytes unread resets the connection (RFC 2525, 2.17).
"""

import contextlib
import fcntl
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from firewall.audit.ship.settings import Settings
from firewall.audit.ship.sink import NotTakenError
from firewall.audit.ship.tail import Item

PORT = 6514
SECONDS = 10.0
FACILITY = 13
"""Log audit (RFC 5424 section 6.2.1)."""
SD_ID = "agentFirewall@32473"
"""32473 is the number set aside for examples (RFC 5612): this project has none of its own."""

_SEVERITIES = {"info": 6, "warning": 4, "critical": 2}
_ODD = re.compile(r"[^\x21-\x7e]")
_ESCAPED = re.compile(r'(["\\\]])')
_BOM = "\ufeff"
_OPEN = (1, 8)
"""TCP_ESTABLISHED, TCP_CLOSE_WAIT (include/net/tcp_states.h): no reset came."""


class Syslog:
    """A receiver of syslog over TLS."""

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or PORT)
        self._settings = settings
        self._context = settings.tls()

    def send(self, items: Sequence[Item]) -> int:
        data = b"".join(self._frame(item) for item in items)
        try:
            with socket.create_connection(self._address, SECONDS) as plain:
                name = self._address[0]
                with self._context.wrap_socket(plain, server_hostname=name) as connection:
                    connection.sendall(data)
                    _close(connection)
        except OSError as error:
            raise NotTakenError(f"{':'.join(map(str, self._address))}: {error}") from None
        return 0

    def close(self) -> None:
        """No connection is held."""

    def _frame(self, item: Item) -> bytes:
        """SYSLOG-FRAME = MSG-LEN SP SYSLOG-MSG (RFC 5425 section 4.3)."""
        message = self._message(item).encode()
        return b"%d %b" % (len(message), message)

    def _message(self, item: Item) -> str:
        members = item.members()
        severity = str((members.get("verdict") or {}).get("severity", "info"))
        priority = FACILITY * 8 + _SEVERITIES.get(severity, 6)
        fields = (
            str(members.get("time", "-")),
            _field(self._settings.source, 255),
            "agent-firewall",
            "-",
            _field(str(members.get("kind", "")), 32),
            element({"chain": item.chain, "seq": str(item.seq), "hash": item.hash}),
        )
        return f"<{priority}>1 {' '.join(fields)} {_BOM}{self._settings.encode(item)}"


def element(parameters: dict[str, str]) -> str:
    """A structured-data element: `"`, `\\` and `]` in values are escaped (section 6.3.3)."""
    pairs = (f'{name}="{_ESCAPED.sub(r"\\\1", value)}"' for name, value in parameters.items())
    return f"[{SD_ID} {' '.join(pairs)}]"


def _field(text: str, most: int) -> str:
    """A header field: visible ASCII alone, or the nil value (section 6)."""
    return _ODD.sub("_", text)[:most] or "-"


def _close(connection: ssl.SSLSocket) -> None:
    """End our side and wait until the receiver has ended its own with nothing of ours unread.

    Raises OSError where it has not. A receiver that closed before our bytes came shows an end too,
    but answers them with a reset instead of acknowledging them.
    """
    with contextlib.suppress(ssl.SSLEOFError):  # many receivers close without a close_notify
        connection.unwrap()
    until = time.monotonic() + SECONDS
    while _unacknowledged(connection) and time.monotonic() < until:
        time.sleep(0.002)
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if state not in _OPEN or _unacknowledged(connection):
        raise ConnectionResetError("the receiver closed before it had read everything")


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes sent that the other end's TCP has not acknowledged (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
