"""`firewall demo`: an agent's escape attempts, re-enacted harmlessly in a real sandbox."""

from firewall.cli.demo.stage import play

__all__ = ["play"]
