"""What all far ends need to know."""

import ssl
from pathlib import Path

from firewall.audit.ship import ocsf
from firewall.audit.ship.tail import Item
from firewall.frozen import frozen


@frozen
class Settings:
    """How to reach a far end, and as what.

    `source` names this firewall among many; `ocsf` writes records as OCSF events instead of as they
    are; `ca` are the authorities trusted, `certificate` a file of our own certificate and key,
    `credentials` a NATS credentials file.
    """

    source: str
    ocsf: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    credentials: Path | None = None

    def encode(self, item: Item) -> str:
        """An item as one line of text, without its newline."""
        return ocsf.event(item) if self.ocsf else item.line.decode().rstrip("\n")

    def tls(self) -> ssl.SSLContext:
        """Raises OSError where a file cannot be read or is no certificate."""
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            context.load_cert_chain(self.certificate)
        return context
