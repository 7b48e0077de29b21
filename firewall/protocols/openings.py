"""First bytes of miners, coin nodes and tunnels that speak neither JSON nor HTTP."""

from firewall.protocols.identity import MORE, Answer, Identity, More
from firewall.protocols.mining.openings import FROM_CLIENTS as MINERS
from firewall.protocols.mining.openings import PEERS
from firewall.protocols.shapes import Opening
from firewall.protocols.tunnels.openings import FROM_CLIENTS as TUNNELS
from firewall.protocols.tunnels.openings import FROM_SERVERS
from firewall.requests import Direction, Finding

type _Index = dict[int, tuple[Opening, ...]]


def _by_first_byte(openings: tuple[Opening, ...]) -> _Index:
    return {
        byte: tuple(each for each in openings if byte in each.first)
        for byte in b"".join(each.first for each in openings)
    }


_INDEX: dict[Direction, _Index] = {
    "sent": _by_first_byte(MINERS + TUNNELS),
    "received": _by_first_byte(PEERS + FROM_SERVERS),
}


def recognise(data: bytes, direction: Direction = "sent") -> Answer:
    """Identify any of the openings: protocol "unknown", with the finding that says more.

    `data` must not be empty.
    """
    waiting = False
    for opening in _INDEX[direction].get(data[0], ()):
        length = opening.match(data)
        if isinstance(length, More):
            waiting = True
        elif length is not None:
            return Identity("unknown", findings=(_finding(opening, length, direction),))
    return MORE if waiting else None


def recognise_server(data: bytes) -> Answer:
    """The same for a server's first bytes."""
    return recognise(data, "received")


def _finding(opening: Opening, length: int, direction: Direction) -> Finding:
    side = "client" if direction == "sent" else "server"
    evidence = f"{opening.name} {opening.evidence}"
    where = f"{side} bytes 0-{length - 1}"
    return Finding(opening.kind, opening.name, evidence, where, opening.confidence)
