"""npm: `npm config list --json`, which shows the effective registry, its default included.

Packages come from the registry's own host: npm rewrites the file URLs of its default registry to
the one that is set (`npm help config`, `replace-registry-host`).
"""

import json

from firewall.policy.sources.origin import Answer, SourceError, origins, output, program


def answer() -> Answer:
    """The registry, and those of scopes (`@scope:registry`)."""
    try:
        settings = json.loads(output([program("npm"), "config", "list", "--json"]))
    except ValueError as error:
        raise SourceError("npm did not print its settings as JSON") from error
    names = [name for name in settings if name == "registry" or name.endswith(":registry")]
    return Answer(origins((str(settings[name]), f"npm's {name}") for name in names))
