"""Captured traffic: files to packets, packets to flows, flows to what they speak."""

from firewall.protocols.captures.files import CaptureError, is_capture, read_packets
from firewall.protocols.captures.flows import Flow, Flows
from firewall.protocols.captures.report import Report, report_capture, report_stream

__all__ = [
    "CaptureError",
    "Flow",
    "Flows",
    "Report",
    "is_capture",
    "read_packets",
    "report_capture",
    "report_stream",
]
