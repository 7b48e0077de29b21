"""What the GPUs are doing, and for whom: the evidence beside every block."""

from firewall.gpu.monitor import GpuMonitor

__all__ = ["GpuMonitor"]
