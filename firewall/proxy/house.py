"""What a flow needs of the gate that accepted it."""

from typing import TYPE_CHECKING, Protocol

from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.proxy.actors import Endpoint, Found
from firewall.proxy.depthlink import InDepth
from firewall.proxy.loop import Loop
from firewall.proxy.resolver import Resolved

if TYPE_CHECKING:
    from firewall.proxy.flow import Flow
    from firewall.proxy.lane.lane import Lane


class House(Protocol):
    """The gate, as its flows know it."""

    loop: Loop
    judge: Judge
    depth: InDepth

    @property
    def lane(self) -> "Lane | None": ...

    metrics: Metrics

    def find_actor(self, client: Endpoint, destination: Endpoint, found: Found) -> None: ...
    def resolve(self, name: str, done: Resolved) -> None: ...
    def ended(self, flow: "Flow") -> None: ...
