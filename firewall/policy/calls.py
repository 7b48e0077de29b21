"""An Execute or a ToolCall, judged over all that it runs: the strictest ruling stands."""

from firewall.deeds import Past, deeds
from firewall.policy.programs import Programs, run_of, runs_of
from firewall.policy.resolved import Resolved
from firewall.policy.rulings import Ruling
from firewall.policy.toolrules import Called, Tools
from firewall.requests import Execute, ToolCall


class Calls:
    """The rules of `shell` and `tools`, compiled."""

    def __init__(self, resolved: Resolved, file: str) -> None:
        self.programs = Programs(resolved.shell, file, resolved.labels)
        self.tools = Tools(resolved.tools, file, resolved.labels)
        self._sequences = bool(resolved.remembers())

    def execute(self, request: Execute, past: Past) -> Ruling:
        """The program itself, and what its arguments say it runs in turn."""
        own = deeds(request) if self._sequences else ()
        return max(self.programs.judge(run, past, own) for run in runs_of(request))

    def tool_call(self, request: ToolCall, past: Past) -> Ruling:
        """The tool, every command that its arguments hold, and what in them could not be read."""
        own = deeds(request) if self._sequences else ()
        rulings = [self.tools.judge(Called(request), past, own)]
        rulings += [self.programs.judge(run_of(each), past, own) for each in request.commands]
        if request.opaque:
            rulings.append(self.programs.opaque(request.opaque))
        return max(rulings)
