"""The gate's thread: takes each call that waits, has it judged, and answers the kernel.

The call is judged on this thread, since the way to another one and back costs more than the policy.
"""

import errno
import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.requests import Execute
from firewall.sandbox import procfs
from firewall.sandbox.execgate import notify
from firewall.sandbox.execgate.calls import CallError, read_call
from firewall.sandbox.execgate.describe import Callers, Names, execute
from firewall.sandbox.execgate.files import Files, Program
from firewall.sandbox.execgate.notify import Notice
from firewall.sandbox.execgate.tell import tell
from firewall.sandbox.execgate.verify import Judged, Verifier, before
from firewall.sandbox.threads import Threads
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)


class ExecGate:
    """Judges every program that starts in one sandbox, from its making until `close`.

    `listener` is the sandbox's, `first` the pid of its first process and `namespace` the inode of
    its network. `threads` knows the tool calls.
    """

    def __init__(
        self,
        listener: int,
        door: Judge,
        sandbox: str,
        first: int,
        namespace: int,
        threads: Threads,
    ) -> None:
        self._listener = listener
        self._judge = door
        self._files = Files()
        self._names = Names(self._files)
        self._callers = Callers(sandbox, first, namespace)
        self._sandbox = sandbox
        self._threads = threads
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._verifier = Verifier(self._files, self._rejudge, self._ring)
        self._told: tuple[int, Verdict] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="exec gate", daemon=True)
        self._thread.start()

    def actor(self, pid: int) -> Actor:
        """Who a process of this sandbox is. Never raises."""
        return self._threads.of(self._callers.actor(pid))

    def close(self) -> None:
        """Stop. What still waits fails when the listener is closed (ENOSYS, seccomp_unotify(2))."""
        self._closing = True
        self._ring()
        self._thread.join()
        for handle in (self._bell, self._listener):
            os.close(handle)

    def _ring(self) -> None:
        """Wake the gate's thread, which needs it only from another."""
        if threading.get_ident() != self._thread.ident:
            with suppress(OSError):
                os.eventfd_write(self._bell, 1)

    def _work(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(self._bell, select.POLLIN)
        while not self._closing:
            ready = dict(poller.poll(self._verifier.patience()))
            if ready.get(self._listener, 0) & select.POLLHUP:
                poller.unregister(self._listener)
            elif self._listener in ready:
                self._take()
            if self._bell in ready:
                os.eventfd_read(self._bell)
            self._verifier.look()

    def _take(self) -> None:
        try:
            notice = notify.receive(self._listener)
        except OSError:
            logger.exception("a call could not be received")
            return
        if notice is None:
            return

        def refuse(verdict: Verdict) -> None:
            self._fail(notice, verdict)

        actor = Actor(self._sandbox, unknown="the call was not read")
        with fail_closed(self._judge, "execgate.take", refuse, actor=actor):
            judge.probe("execgate.take")
            self._read(notice)

    def _read(self, notice: Notice) -> None:
        """Find out what would run, and ask. What cannot run fails as the kernel would have it.

        A caller that was killed meanwhile asks nothing any more: it is no failure of ours.
        """
        try:
            pid = procfs.leader(notice.thread)
            program = self._files.find(notice.thread, read_call(notice))
        except (CallError, OSError) as error:
            if not notify.still_waits(self._listener, notice):
                return
            if not isinstance(error, CallError):
                raise
            self._impossible(notice, procfs.leader(notice.thread), error)
            return
        if notify.still_waits(self._listener, notice):
            self._ask(notice, pid, program)

    def _impossible(self, notice: Notice, pid: int, error: CallError) -> None:
        if error.why:
            verdict = self._judge.fault(
                "execgate.unreadable", error, None, self._callers.actor(pid)
            )
            self._fail(notice, verdict, error.code)
        else:
            notify.fail(self._listener, notice, error.code)

    def _ask(self, notice: Notice, pid: int, program: Program) -> None:
        actor = self._threads.started(self._callers.actor(pid), program.argv)
        request = execute(program, self._names)
        judged = Judged(pid, program, before(actor.process))

        def answer(verdict: Verdict) -> None:
            if not verdict.allowed:
                refuse(verdict)
            elif notify.let_go_on(self._listener, notice):
                self._callers.forget(pid)
                self._verifier.expect(judged)

        def refuse(verdict: Verdict) -> None:
            self._fail(notice, verdict)

        with fail_closed(self._judge, "execgate.decide", refuse, request=request, actor=actor):
            judge.probe("execgate.decide")
            self._judge.decide(request, actor, {}, answer, prompt=True)

    def _fail(self, notice: Notice, verdict: Verdict, code: int = errno.EACCES) -> None:
        with suppress(OSError):
            self._tell(procfs.leader(notice.thread), verdict)
        notify.fail(self._listener, notice, code)

    def _tell(self, pid: int, verdict: Verdict) -> None:
        """Once; execvp(3) tries every folder of the PATH."""
        if self._told != (pid, verdict):
            self._told = (pid, verdict)
            tell(pid, verdict)

    def _rejudge(self, judged: Judged, found: Execute, kill: Callable[[], None]) -> None:
        """Something else runs than what was judged: judge it now, and end it where it may not."""
        actor = self.actor(judged.pid)

        def answer(verdict: Verdict) -> None:
            if not verdict.allowed:
                kill()

        with fail_closed(self._judge, "execgate.verify", answer, request=found, actor=actor):
            judge.probe("execgate.verify")
            self._judge.decide(found, actor, {"judged": judged.program.path}, answer)
