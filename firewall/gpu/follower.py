"""The GPUs for several judges that share one log."""

from collections.abc import Callable, Mapping
from typing import Any

from firewall.actor import Actor
from firewall.gpu.monitor import GpuMonitor


class OneFollower:
    """The GPUs for judges that share one log: what they do afterwards is recorded once, by us."""

    def __init__(self, gpu: GpuMonitor) -> None:
        self._gpu = gpu

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        self._gpu.fresh(actor, done)

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """Nothing: see above."""
