"""What a program is about to do, read from its arguments or from shell text.

`inspect_argv` judges one program's arguments as execve(2) gets them. `read_argv` also looks through
what wraps another command (env, timeout, `bash -c`), and `read_shell` reads a whole shell text.
"""

from firewall.commands.argv import read_argv
from firewall.commands.inspect import inspect_argv, left_to_the_network
from firewall.commands.reading import Reading
from firewall.commands.shell import read_shell
from firewall.commands.ssh import SshInvocation, parse_ssh

__all__ = [
    "Reading",
    "SshInvocation",
    "inspect_argv",
    "left_to_the_network",
    "parse_ssh",
    "read_argv",
    "read_shell",
]
