"""The firewall as an addon of a stock mitmproxy:

    mitmdump -s addons/egress.py --set policy=policies/coding-agent.yaml [--set audit=FOLDER]

`policy` is a file or a preset's name; without one every request is denied; rules with labels hold
where those of `labels` fit, one `--set labels=env=ci` for each. `audit` is the folder of
the audit log. A key in the folder `firewall` of mitmproxy's own (confdir) signs it: check it with
`firewall audit verify --log FOLDER --key ~/.mitmproxy/firewall/audit-key.pub`. It is the code that
the firewall itself runs, less what a stock mitmproxy cannot give: the process behind a connection,
and a bound on what waits for a slow HTTP/2 client.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from firewall.actor import Actor
from firewall.audit import AuditError, AuditLog, Keeper, keys
from firewall.credentials import KEYS_ALONE
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.holding import parse_labels
from firewall.ports import Done
from firewall.proxy.http.egress import Egress
from firewall.redaction import Terms
from firewall.requests import Request
from firewall.vault import Vault
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

REQUIRED = {
    "connection_strategy": "lazy",
    "upstream_cert": False,
    "ssl_insecure": False,
    "validate_inbound_headers": True,
    "rawtcp": False,
}
"""Options on which the enforcement rests."""


class _NoPolicy:
    """In force until there is a policy: the judge turns its failure into a deny."""

    digest = ""
    names: Mapping[str, str] = {}
    redaction = Terms()
    watched = KEYS_ALONE

    def decide(self, request: Request, actor: Actor) -> Verdict:
        raise LookupError("there is no policy; start mitmproxy with --set policy=FILE")


class _NoLog:
    def append(
        self, event: Mapping[str, Any], done: Done | None = None, *, urgent: bool = True
    ) -> None:
        raise LookupError("there is no audit log yet")


class _Unseen:
    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        """mitmproxy shows its flows itself."""


class Firewall:
    """Puts the judge together from mitmproxy's options and lets Egress do the work."""

    name = "firewall"

    def __init__(self) -> None:
        self._gpu = GpuMonitor()
        self._log: AuditLog | None = None
        self._keeper: Keeper | None = None
        nothing = cast("Policy", _NoPolicy())
        self._egress = Egress(Judge(nothing, _NoLog(), self._gpu, _Unseen()))
        self.addons = [self._egress, self._egress.answers, self._egress.held]

    def load(self, loader: Loader) -> None:
        """Declare the options, and set those of mitmproxy that have to be as they are."""
        loader.add_option("policy", str, "", "The firewall's policy: a file or a preset's name.")
        loader.add_option("labels", Sequence[str], [], "For rules with labels, as env=ci.")
        loader.add_option("audit", str, "audit", "The folder of the firewall's audit log.")
        ctx.options.update(**REQUIRED)  # type: ignore[no-untyped-call]

    def configure(self, updated: set[str]) -> None:
        """Take the options over; a policy that is not good leaves the old one in force."""
        for name in REQUIRED.keys() & updated:
            if getattr(ctx.options, name) != REQUIRED[name]:
                raise _bad(f"the firewall needs {name}={REQUIRED[name]}")
        if {"policy", "audit", "labels"} & updated and ctx.options.policy:
            try:
                policy = load_policy(ctx.options.policy, parse_labels(ctx.options.labels))
                self._use(policy, Path(ctx.options.audit))
            except (PolicyError, AuditError, OSError, ValueError) as error:
                raise _bad(str(error)) from error

    def running(self) -> None:
        """mitmproxy has started; without a policy that is of no use."""
        self._gpu.start()
        if self._log is None:
            logger.error("no policy, no start: use --set policy=FILE")
            ctx.master.shutdown()  # type: ignore[no-untyped-call]

    def done(self) -> None:
        """mitmproxy ends: write what is left to write."""
        self._gpu.stop()
        if self._log is not None:
            self._log.close()
        if self._keeper is not None:
            self._keeper.close()

    def _use(self, policy: Policy, folder: Path) -> None:
        if self._log is None:
            authority = Path(ctx.options.confdir).expanduser() / "firewall"
            marks = keys.redaction_key(authority)
            self._log = AuditLog(folder, "mitmproxy")
            self._keeper = Keeper(folder, authority)
            self._keeper.start()
            self._egress.judge = Judge(policy, self._log, self._gpu, _Unseen(), redaction_key=marks)
        else:
            judge = self._egress.judge
            judge.policy, judge.vault = policy, Vault(watched=policy.watched)


def _bad(why: str) -> exceptions.OptionsError:
    return exceptions.OptionsError(why)  # type: ignore[no-untyped-call]


addons = [Firewall()]
