"""The `firewall` script. A hook is started before every tool call of an agent, which waits for it:
it goes first, and the rest is imported for the rest."""

import sys


def main() -> None:
    match sys.argv[1:]:
        case ["hook", agent]:
            from firewall.toolcalls import hook

            if agent in hook.AGENTS:
                sys.exit(hook.run(agent))
    from firewall.cli.main import app

    app()
