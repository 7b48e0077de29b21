"""`python -m firewall.cli` is the `firewall` command."""

from firewall.cli.main import app

app()
