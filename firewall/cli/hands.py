"""What a firewall can do about who uses a GPU: its own sandbox's egress, others', and processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from firewall.causes import Cause
from firewall.gpu.view import ProcessView
from firewall.judge import Judge
from firewall.proxy import control
from firewall.sandbox.blamed import Blamed
from firewall.sandbox.freeze import Done


class OwnHands:
    """Of `firewall run` and `firewall serve`: their egress is closed here, and their quarantine
    freezes (proxy/quarantine.py), which knows what to stop."""

    def __init__(self, judge: Judge, blamed: Blamed) -> None:
        self._judge = judge
        self._blamed = blamed

    def close(self, processes: Sequence[ProcessView], cause: Cause) -> str:
        try:
            return "; ".join(_blame(self._blamed, processes)) if cause.freeze else ""
        finally:
            self._judge.quarantine(cause)

    def freeze(self, processes: Sequence[ProcessView], done: Done) -> None:
        """The quarantine does it, and records how many there were."""
        done(0, "")

    def terminate(self, processes: Sequence[ProcessView], done: Done) -> None:
        _terminate(processes, done)


class FarHands:
    """Of `firewall gpu watch`, which has no egress of its own: other firewalls of this state
    directory close that of their sandboxes."""

    def __init__(self, blamed: Blamed, directory: Path) -> None:
        self._blamed = blamed
        self._directory = directory

    def close(self, processes: Sequence[ProcessView], cause: Cause) -> str:
        if not processes:
            return "its egress stays open: whose it is is not known"
        sandboxes = dict.fromkeys(each.sandbox for each in processes)
        return "; ".join(each for name in sandboxes if (each := self._close(name)))

    def freeze(self, processes: Sequence[ProcessView], done: Done) -> None:
        trouble = "; ".join(_blame(self._blamed, processes))
        self._blamed.freeze(lambda count, more: done(count, _both(trouble, more)))

    def terminate(self, processes: Sequence[ProcessView], done: Done) -> None:
        _terminate(processes, done)

    def _close(self, sandbox: str | None) -> str:
        if not sandbox:
            return "its egress stays open: it runs in no sandbox of this firewall"
        try:
            answer = control.ask(self._directory, sandbox, {"do": "quarantine", "freeze": False})
        except (OSError, ValueError) as error:
            return f"the egress of {sandbox} stays open: {error}"
        return str(answer.get("error", ""))


def _terminate(processes: Sequence[ProcessView], done: Done) -> None:
    """End these, and nobody who was frozen before."""
    blamed = Blamed()
    trouble = "; ".join(_blame(blamed, processes))
    blamed.terminate(lambda count, more: done(count, _both(trouble, more)))


def _blame(blamed: Blamed, processes: Sequence[ProcessView]) -> Iterator[str]:
    """Blame each; what cannot be, and why."""
    if not processes:
        yield "which process it is is not known"
    for each in processes:
        if trouble := blamed.blame(each.pid, each.started):
            yield trouble


def _both(trouble: str, more: str) -> str:
    return "; ".join(each for each in (trouble, more) if each)
