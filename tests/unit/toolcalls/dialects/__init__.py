"""Tests of `firewall.toolcalls.dialects`."""
