"""What a recogniser answers about a client's first bytes."""

from dataclasses import field
from enum import Enum

from firewall.frozen import frozen
from firewall.protocols.hello import ClientHello
from firewall.requests import Finding, Protocol


@frozen
class Identity:
    """What a client's first bytes speak.

    `sni` (lower case, no trailing dot) and `alpn` come from a TLS ClientHello. `findings` are the
    signs of mining and of tunnels in those same bytes. `host` is what an HTTP request names, as
    written; `hello` is the whole ClientHello, for fingerprints.
    """

    protocol: Protocol
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    host: str | None = field(default=None, compare=False)
    hello: ClientHello | None = field(default=None, compare=False, repr=False)


class More(Enum):
    """The bytes so far fit, but do not decide. As a value, to keep it apart from None: "no"."""

    MORE = "more"


MORE = More.MORE

type Answer = Identity | More | None


class ProtocolError(ValueError):
    """A peer broke the protocol. The text says what is wrong and what was expected."""
