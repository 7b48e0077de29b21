"""What the visits of a lane share."""

import socket
from typing import Protocol

from firewall.judge import Judge
from firewall.proxy.handover import Handover
from firewall.proxy.lane.certificates import Certificates
from firewall.proxy.lane.upstream import Upstreams
from firewall.proxy.loop import Loop


class House(Protocol):
    """What a visit needs of the lane. `hand_over` gives a flow to depth."""

    loop: Loop
    judge: Judge
    certificates: Certificates
    upstreams: Upstreams

    def hand_over(self, given: Handover, client: socket.socket) -> bool: ...
