"""Chromium's list of authorities: it reads none of the system's, but what its administrator adds.

The policy CACertificates, a list of DER in base64, in a folder of managed policies
(chromeenterprise.google/policies, "CACertificates"; Chromium,
components/policy/core/common/config_dir_policy_loader.cc).
"""

import base64
import json
import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDERS = (
    "/etc/chromium",  # Debian, Fedora, Arch, Playwright's
    "/etc/chromium-browser",  # Ubuntu
    "/etc/opt/chrome",
    "/etc/opt/chrome_for_testing",
    "/etc/opt/edge",
    "/etc/brave",
)
_MANAGED = "policies/managed"
_NAME = "zz-agent-firewall.json"
"""Read last, as of policies that come twice the last is the one that counts."""
_KEY = "CACertificates"


def policies(ca: bytes, folders: tuple[str, ...] = FOLDERS) -> dict[str, bytes]:
    """The policy files to add, by their paths, for the browsers that this machine has."""
    found = {os.path.realpath(each) for each in folders if os.path.isdir(each)}
    return {
        f"{each}/{_MANAGED}/{_NAME}": _policy(Path(each, _MANAGED), ca) for each in sorted(found)
    }


def _policy(folder: Path, ca: bytes) -> bytes:
    """Trust in the CA, beside those that the administrator added already."""
    own = base64.b64encode(ssl.PEM_cert_to_DER_cert(ca.decode())).decode()
    before = [each for file in sorted(folder.glob("*.json")) for each in _added(file)]
    return json.dumps({_KEY: list(dict.fromkeys([*before, own]))}).encode()


def _added(file: Path) -> list[Any]:
    with suppress(OSError, ValueError):
        policy = json.loads(file.read_bytes())
        if isinstance(policy, dict) and isinstance(policy.get(_KEY), list):
            return list(policy[_KEY])
    return []
