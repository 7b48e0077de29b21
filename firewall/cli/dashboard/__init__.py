"""`firewall dashboard`: an audit log as a live page on this machine.

A feed reads the log and keeps a board of what is newest; the board is drawn a few times a second at
most, and each client is sent what has changed of the drawing since it last looked.
"""

from firewall.cli.dashboard.command import serve_dashboard

__all__ = ["serve_dashboard"]
