"""The `firewall` script. A hook is started before every tool call of an agent, which waits for it:
it goes first, then what an agent runs under, and the rest is imported for the rest."""

import gc
import sys

COLLECT_AFTER = 10_000
"""Objects made until garbage is looked for: loading makes many that all stay, and each look goes
through them."""
UNTIL_IT_STANDS = 150_000
"""The same where a house is opened, which is more than that takes, and then has its own number
(assembly.py): looks were a twentieth of an agent's start."""


def main() -> None:
    match sys.argv[1:]:
        case ["hook", agent]:
            from firewall.toolcalls import hook

            if agent in hook.AGENTS:
                sys.exit(hook.run(agent))
    opens_a_house = sys.argv[1:2] in (["run"], ["serve"])
    gc.set_threshold(UNTIL_IT_STANDS if opens_a_house else COLLECT_AFTER)
    match sys.argv[1:]:
        case ["run" | "serve" | "mcp" | "--version", *_]:
            from firewall.cli.agent import app
        case _:
            from firewall.cli.main import app
    app()
