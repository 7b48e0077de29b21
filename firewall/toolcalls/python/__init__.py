"""The tool-call firewall for Python programs: ask before a function or a command runs."""

from firewall.toolcalls.client import Answer
from firewall.toolcalls.python.api import Denied, Firewall
from firewall.toolcalls.python.environment import guard_environment

__all__ = ["Answer", "Denied", "Firewall", "guard_environment"]
