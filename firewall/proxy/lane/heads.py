"""The heads of one client's requests. Many a client asks for the same again and again, and what is
the same to the byte is not read again."""

from firewall.protocols.http1 import Head, parse_head
from firewall.proxy.handover import Handover
from firewall.proxy.lane import messages
from firewall.proxy.lane.messages import Onward
from firewall.requests import HttpRequest
from firewall.vault import Vault


class Heads:
    """Reads and describes them. Whether each is allowed is judged anew, always."""

    def __init__(self, given: Handover) -> None:
        self._given = given
        self._raw = b""
        self._head: Head | None = None
        self._vault: Vault | None = None
        self._asked: HttpRequest | None = None
        self._onward: Onward | None = None

    def read(self, data: bytes) -> Head | None:
        """The head at the start of the data; None while it is incomplete. Raises ProtocolError."""
        if self._head is None or not data.startswith(self._raw):
            self._head, self._asked, self._onward = parse_head(data), None, None
            self._raw = data[: self._head.length] if self._head is not None else b""
        return self._head

    def describe(self, vault: Vault) -> HttpRequest:
        """What the request of the head that was read asks for; `vault` knows of secrets in it."""
        assert self._head is not None
        if self._asked is None or self._vault is not vault:
            self._asked, self._vault = messages.asked(self._head, self._given, vault), vault
        return self._asked

    @property
    def onward(self) -> Onward:
        """How the request of the head that was read goes on, where it is allowed."""
        assert self._head is not None
        if self._onward is None:
            self._onward = messages.onward(self._head)
        return self._onward
