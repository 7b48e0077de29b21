"""What an agent waits for: `firewall run` loads nothing that most agents never need."""

import subprocess
import sys

from tests.e2e.conftest import Workplace
from tests.waiting import PATIENCE

NOT_LOADED = {
    "asyncio": "the depth process's",
    "asyncssh": "the depth process's",
    "mitmproxy": "the depth process's",
    "dns": "the resolver's, at the first name",
    "prometheus_client": "for --metrics",
    "http.server": "the tool-call server's, at the first question",
    "html": "for a browser that is refused",
    "rich": "for who asks for help",
    "tomllib": "for a policy that asks a package tool",
    "firewall.policy.sources.pip": "for a policy that asks a package tool",
    "firewall.proxy.lane.lane": "for the first connection that is inspected, as it loads TLS",
    "firewall.proxy.depth": "the depth process's",
    "firewall.cli.main": "for the other commands",
    "firewall.cli.audit": "for the other commands",
}
"""Modules, and whose they are instead."""


def test_an_agent_does_not_wait_for_what_it_may_never_need(workplace: Workplace) -> None:
    run = [sys.executable, "-X", "importtime", "-m", "firewall.cli"]
    done = subprocess.run(
        [*run, "run", "--policy", "base", "--", "true"],
        cwd=workplace.work,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"firewall.judge", "firewall.proxy.gate", "firewall.commands.reader"} <= loaded
    assert {name: NOT_LOADED[name] for name in NOT_LOADED.keys() & loaded} == {}
