"""The `firewall` script. A hook is started before every tool call of an agent, which waits for it:
it goes first, then what an agent runs under, and the rest is imported for the rest."""

import gc
import sys

COLLECT_AFTER = 150_000
"""Objects made until garbage is looked for. Loading makes two thirds as many that all stay, and
each look goes through them: looks were a twentieth of a start."""


def main() -> None:
    match sys.argv[1:]:
        case ["hook", agent]:
            from firewall.toolcalls import hook

            if agent in hook.AGENTS:
                sys.exit(hook.run(agent))
    gc.set_threshold(COLLECT_AFTER)
    match sys.argv[1:]:
        case ["run" | "serve" | "mcp" | "--version", *_]:
            from firewall.cli.agent import app
        case _:
            from firewall.cli.main import app
    app()
