"""Programs that run other programs: what of their words is a command, and what is shell text."""
