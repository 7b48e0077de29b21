"""What a program is about to do, read from its arguments.

`inspect_argv` judges one program's arguments as execve(2) gets them. A wrapper (env, timeout, a
shell) executes what it wraps, and that is judged when it happens.
"""

from firewall.commands.inspect import inspect_argv
from firewall.commands.ssh import SshInvocation, parse_ssh

__all__ = ["SshInvocation", "inspect_argv", "parse_ssh"]
