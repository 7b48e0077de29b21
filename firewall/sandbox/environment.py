"""The environment of an agent: what leads around the firewall is taken out, its CA is put in."""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress

BUNDLE_VARIABLES = (
    "AWS_CA_BUNDLE",
    "BUNDLE_SSL_CA_CERT",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HEX_CACERTS_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
"""Variables by which programs are told of a file of trusted certificates."""

_REMOVED = frozenset(
    {
        "CONTAINER_HOST",
        "CONTAINERD_ADDRESS",
        "DISPLAY",
        "DOCKER_HOST",
        "GPG_AGENT_INFO",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "PULSE_SERVER",
        "SSH_AGENT_PID",
        "SSH_AUTH_SOCK",
        "STY",
        "SWAYSOCK",
        "TMUX",
        "WAYLAND_DISPLAY",
        "WAYLAND_SOCKET",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
    }
)
_REMOVED_PREFIXES = ("DBUS_", "VSCODE_IPC", "VSCODE_GIT_IPC")
_PROXIES = frozenset(
    {
        "ALL_PROXY",
        "CARGO_HTTP_PROXY",
        "FTP_PROXY",
        "GRPC_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_GRPC_PROXY",
        "NO_PROXY",
        "NPM_CONFIG_HTTPS_PROXY",
        "NPM_CONFIG_HTTP_PROXY",
        "NPM_CONFIG_NOPROXY",
        "NPM_CONFIG_PROXY",
        "PIP_PROXY",
        "RSYNC_PROXY",
        "SOCKS_PROXY",
        "WSS_PROXY",
        "WS_PROXY",
        "YARN_HTTPS_PROXY",
        "YARN_HTTP_PROXY",
    }
)


_OF_A_HOME = ("MAIL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


TOOLS_VARIABLE = "FIREWALL_TOOLS"
"""Names the socket of the tool-call service (toolcalls/client.py)."""


def agent_environment(environment: Mapping[str, str], bundle: str, tools: str) -> dict[str, str]:
    """The environment inside: no sockets of the host, no proxies, every bundle variable set."""
    kept = {name: value for name, value in environment.items() if not _leads_out(name)}
    return kept | dict.fromkeys(BUNDLE_VARIABLES, bundle) | {TOOLS_VARIABLE: tools}


def moved_home(environment: Mapping[str, str], uid: int, private: str) -> dict[str, str]:
    """The environment of another user than the caller's: with a home that it may write to.

    That is the user's own where there is one, else the folder `private`.
    """
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:
        name, home = str(uid), private
    if not _owns(uid, home):
        home = private
    kept = {key: value for key, value in environment.items() if key not in _OF_A_HOME}
    return kept | {"HOME": home, "USER": name, "LOGNAME": name}


def _owns(uid: int, directory: str) -> bool:
    with suppress(OSError):
        return os.stat(directory).st_uid == uid
    return False


def _leads_out(name: str) -> bool:
    return name in _REMOVED or name.startswith(_REMOVED_PREFIXES) or name.upper() in _PROXIES
