"""How often, how long, how much: the numbers of a running firewall, for Prometheus."""

from firewall.metrics.counts import Evidence, FlowState, Metrics, SandboxState, WorkerState

__all__ = ["Evidence", "FlowState", "Metrics", "SandboxState", "WorkerState"]
