"""What carries one connection inside another."""
