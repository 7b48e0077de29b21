"""`python -m firewall.cli` is the `firewall` command."""

from firewall.cli.entry import main

main()
