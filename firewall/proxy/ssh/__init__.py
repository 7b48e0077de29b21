"""The SSH gateway: ends the agent's connection, judges all that is asked for, and asks upstream."""
