"""One daemon for many sandboxes of a machine: see `firewall.node.client` for those who ask it."""
