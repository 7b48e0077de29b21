"""The exec gate: every program that starts in the sandbox is judged before it runs.

The kernel stops execve(2) and execveat(2) in the sandbox and tells the firewall of each
(seccomp_unotify(2)). The gate reads what is asked from the caller's memory, finds the file that
would run, and lets the call go on or fail with EACCES.

What it guarantees, honestly. The file and the arguments are read once, and the kernel reads them
again when the call goes on: a thread or another process that shares the caller's memory, or whoever
replaces the file between, can change them. So what really runs is looked at afterwards, and a
program that was not judged is judged then, killed where it is denied, and recorded as critical. It
may have run for some milliseconds, and one that ends within them is not seen. Two things have no
such gap: `execute-from`, which the kernel enforces by itself (Landlock), and the network, where
every byte is judged whatever sent it.
"""

from firewall.sandbox.execgate.gate import ExecGate

__all__ = ["ExecGate"]
