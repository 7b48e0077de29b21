"""What miners say: to pools, to nodes and to each other."""
