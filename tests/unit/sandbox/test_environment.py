import os
import pwd
from pathlib import Path

import pytest

from firewall.sandbox.environment import BUNDLE_VARIABLES, agent_environment, moved_home

BUNDLE = "/run/agent-firewall/ca-certificates.crt"
TOOLS = "/run/tools.sock"


@pytest.mark.parametrize(
    "name",
    [
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "DOCKER_HOST",
        "TMUX",
        "NOTIFY_SOCKET",
        "HTTP_PROXY",
        "http_proxy",
        "https_proxy",
        "ALL_PROXY",
        "no_proxy",
        "npm_config_proxy",
        "PIP_PROXY",
        "CARGO_HTTP_PROXY",
        "YARN_HTTPS_PROXY",
        "VSCODE_IPC_HOOK_CLI",
    ],
)
def test_what_leads_out_is_removed(name: str) -> None:
    kept = agent_environment({name: "x", "OWN": "y"}, BUNDLE, TOOLS)
    assert name not in kept
    assert kept["OWN"] == "y"


@pytest.mark.parametrize("name", ["PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"])
def test_the_rest_stays(name: str) -> None:
    assert agent_environment({name: "value"}, BUNDLE, TOOLS)[name] == "value"


def test_every_bundle_variable_names_the_merged_bundle() -> None:
    kept = agent_environment({"REQUESTS_CA_BUNDLE": "/private.pem"}, BUNDLE, TOOLS)
    assert {kept[name] for name in BUNDLE_VARIABLES} == {BUNDLE}
    assert {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"} <= kept.keys()


def test_the_callers_environment_is_left_as_it_is() -> None:
    own = {"DISPLAY": ":0"}
    agent_environment(own, BUNDLE, TOOLS)
    assert own == {"DISPLAY": ":0"}


def test_another_user_has_its_own_home_and_nothing_of_the_callers(tmp_path: Path) -> None:
    own = {"HOME": "/home/own", "USER": "own", "XDG_CACHE_HOME": "/home/own/.cache", "KEEP": "x"}
    uid = os.getuid()
    entry = pwd.getpwuid(uid)
    moved = moved_home(own, uid, "/private")
    expected = entry.pw_dir if os.stat(entry.pw_dir).st_uid == uid else "/private"
    assert moved == {
        "HOME": expected,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "KEEP": "x",
    }


@pytest.mark.parametrize("uid", [pwd.getpwnam("nobody").pw_uid, 54321])
def test_a_user_without_a_home_gets_a_private_one(uid: int) -> None:
    assert moved_home({"HOME": "/root"}, uid, "/private")["HOME"] == "/private"
