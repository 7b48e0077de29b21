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

The gate says which programs start, not what their memory becomes. Programs of one sandbox may
change one another once they run: by ptrace(2) and process_vm_writev(2), as debuggers do, but also
by /proc/PID/mem, which no filter of system calls can tell from another file, and by LD_PRELOAD.
To refuse only the first two would take gdb, strace and py-spy from people and close nothing, so
none is refused: the sandbox is the boundary, and what a program did is evidence, not proof.
A Landlock domain for each program would keep it from the memory of its siblings (landlock(7),
"Ptrace restrictions"), but a program can only enter one itself, a chain of programs ends at the
sixteenth (E2BIG), and whoever starts a program still traces it, or tells it what to load.

A program that is allowed starts once its record is queued, not once it is on the disk: a sync costs
more than all the rest, and no connection opens before that record is durable, since it stands
before the connection's own in the same chain. If the machine dies first, the last few milliseconds
of starts that opened none are not recorded.

What it costs: a verdict is 0.10 ms of Python where the caches are warm, half of it in reading
/proc, but 0.4 ms of this thread's time in truth, since the program that starts has emptied them: a
fifth each goes into finding the program, describing its caller, and the record, a seventh into the
policy. Waking the gate and its caller takes 0.1 ms even if nothing is judged. The aim of 0.2 ms in
all is missed, and Python alone will not reach it: without any of these parts 0.15 ms remain. Tried
without a gain that could be measured: SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (the caller then waits for
the processor that the gate works on), process_vm_readv(2) instead of /proc/PID/mem, a shorter
switch interval or time slice, a frozen heap, no garbage collection, and a processor of its own. A
gate that never sleeps would start programs 0.2 to 0.4 ms sooner on busy cores, and occupy one.
"""

from firewall.sandbox.execgate.gate import ExecGate

__all__ = ["ExecGate"]
