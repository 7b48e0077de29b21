"""What the depth process loads, and what it leaves alone."""

import subprocess
import sys

UNUSED = ("flask", "jinja2", "ldap3", "mitmproxy.addons.onboarding", "mitmproxy.addons.script")


def test_nothing_is_loaded_that_no_flow_asks_for() -> None:
    code = (
        "import sys; from firewall.proxy import depthstart;"
        "depthstart.leave_unread('mitmproxy.addons');"
        "import firewall.proxy.depth, firewall.toolcalls.wire.addon;"
        "from mitmproxy.addons import core, proxyserver, tlsconfig;"
        f"print(core.Core.__name__, [name for name in {UNUSED} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "Core []\n"
