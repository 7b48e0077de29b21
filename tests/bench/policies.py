"""How long a large policy takes to load, and a decision under it.

    python -m tests.bench.policies [RULES]

Printed are CPU times: of reading the YAML, of loading the whole policy (checks of every rule
against every other included), and of one decision that a rule allows and one that none does. A
small policy is measured beside it: decisions take the same time under both.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from firewall.actor import Actor
from firewall.policy import Policy, load_policy
from firewall.policy.text import read
from firewall.requests import Connect

RULES = 10_000
DECISIONS = 2_000
HEAD = "version: 1\nname: large\nextends: [base]\nnetwork:\n  rules:\n"
RULE = (
    '    - {{name: r{0}, allow: https, hosts: [h{0}.example.com, "*.s{0}.example.org"],'
    " methods: [GET, HEAD], reason: the team of service {0} asked for it}}\n"
)


def cpu(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def decision(policy: Policy, host: str) -> float:
    """Microseconds of one decision, the median of several rounds."""
    actor, asked = Actor("bench", None), Connect(host, 443, protocol="tls", sni=host)

    def decide() -> None:
        for _ in range(DECISIONS):
            policy.decide(asked, actor)

    return statistics.median(cpu(decide) for _ in range(5)) / DECISIONS * 1e6


def measure(path: Path, rules: int) -> None:
    path.write_text(HEAD + "".join(RULE.format(number) for number in range(rules)))
    reading = cpu(lambda: read(path, path.name))
    loading = cpu(lambda: load_policy(path))
    policy = load_policy(path)
    allowed, denied = (decision(policy, each) for each in ("h1.example.com", "x.example.net"))
    print(f"{rules:8} {reading:9.2f} {loading:9.2f} {allowed:11.1f} {denied:11.1f}", flush=True)


def main() -> None:
    print("   rules   YAML, s   load, s   allow, us    deny, us")
    with tempfile.TemporaryDirectory() as folder:
        for rules in (10, int(sys.argv[1]) if sys.argv[1:] else RULES):
            measure(Path(folder, "large.yaml"), rules)


if __name__ == "__main__":
    main()
