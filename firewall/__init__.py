"""An egress firewall for AI agents.

One judge, no way out: docs/architecture.md has the road of a request.
"""

__version__ = "0.1.0"
