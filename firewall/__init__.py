"""An egress firewall for AI agents.

One judge, no way out: see the README for the road of a request.
"""

__version__ = "0.1.0"
