"""What goes wrong when a sandbox is made, in words for the person who asked for one."""


class SandboxError(Exception):
    """A sandbox could not be made. The text says what was refused and what to do about it."""
