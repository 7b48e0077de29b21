"""Where the depth process begins: mitmproxy without what nobody asks of it here.

`mitmproxy.addons` imports all addons that there are, among them an LDAP client and a web framework:
a quarter of the time that the first flow waits for, and 300 modules in the process that is
attacked most. Only the three that `http/serve.py` names are used.
"""

import gc
import sys
from importlib.util import find_spec, module_from_spec


def main() -> None:
    """Serve the channel whose descriptor is the first argument (depth.py)."""
    gc.disable()
    leave_unread("mitmproxy.addons")
    from firewall.proxy.depth import main as serve

    gc.freeze()  # what is loaded stays: no collection need look at it
    gc.enable()
    serve()


def leave_unread(package: str) -> None:
    """Let a package's modules be imported without what its `__init__` would import beside them."""
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    sys.modules[package] = module_from_spec(spec)


if __name__ == "__main__":
    main()
